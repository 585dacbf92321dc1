// A block of code: language, copy, wrap; for HTML the tabs Code | Preview. The preview runs in a frame that is sandboxed
// without scripts and without our origin; the page's CSP, which the frame inherits, lets it load nothing from the network.
import { useMemo, useState } from "preact/hooks";
import { CopyButton, IconButton, Tabs } from "./controls.js";
import { cx, html } from "./html.js";
import { t } from "./i18n/index.js";
import { highlight } from "./markdown.js";
import { prefer, prefs } from "./prefs.js";

/** @param {{ code: string, language: string, live: boolean }} props */
export function CodeBlock({ code, language, live }) {
  const page = language === "html" || language === "svg";
  const [chosen, setChosen] = useState(/** @type {string | null} */ (null));
  // A finished page is shown as what it is; while it streams, the code is the news.
  const tab = page ? (chosen ?? (live ? "code" : "preview")) : "code";
  const coloured = useMemo(() => highlight(code, language), [code, language]);
  const wrap = prefs.value.wrap ?? false;
  return html`
    <figure class="code">
      <figcaption>
        ${page
          ? html`<${Tabs} names=${[["code", t().codeTab], ["preview", t().previewTab]]} chosen=${tab} onChoose=${setChosen} />`
          : html`<span class="code-language">${language}</span>`}
        <span class="spacer"></span>
        ${tab === "code" && html`<${IconButton} icon="wrap" label=${t().wrap} pressed=${wrap} onClick=${() => prefer({ wrap: !wrap })} />`}
        <${CopyButton} text=${() => code} />
      </figcaption>
      ${tab === "code"
        ? html`<pre class=${cx(wrap && "wrapped")} tabindex="0"><code dangerouslySetInnerHTML=${{ __html: coloured }} /></pre>`
        : html`<iframe class="preview" sandbox="" srcdoc=${code} title=${t().preview} loading="lazy" referrerpolicy="no-referrer"></iframe>`}
    </figure>`;
}
