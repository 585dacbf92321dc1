// The empty state is the front door: what the model at hand can do, tasks that run at a click, and the way to a real one.
import { runSample } from "./chat.js";
import { focusComposer, pickFiles } from "./composer.js";
import { Command, WithCode } from "./controls.js";
import { html } from "./html.js";
import { Icon, kindIcon, Mark } from "./icons.js";
import { t } from "./i18n/index.js";
import { draftPictures, draftText, model, models, modelsMissing } from "./store.js";

const SAMPLES_MAX = 6;
const touch = matchMedia("(hover: none)");
const SERVE = "weft serve --model PATH";

function tasks() {
  const words = t();
  return [
    { kind: "read", title: words.taskRead, prompt: words.taskReadPrompt },
    { kind: "find", title: words.taskFind, prompt: words.taskFindPrompt },
    { kind: "form", title: words.taskForm, prompt: words.taskFormPrompt },
    { kind: "html", title: words.taskHtml, prompt: words.taskHtmlPrompt },
  ];
}

/** @param {{ sample: Sample }} props */
const SampleCard = ({ sample }) => html`
  <button type="button" class="sample" onClick=${() => runSample(sample)}>
    ${sample.image ? html`<img src=${sample.image} alt="" loading="lazy" />` : html`<span class="sample-blank"><${Icon} name="chat" /></span>`}
    <span class="sample-text">
      <span class="sample-title"><${Icon} name=${kindIcon(sample.kind)} size=${16} />${sample.title}</span>
      <span class="sample-prompt">${sample.prompt}</span>
    </span>
  </button>`;

/** Tasks for a picture of one's own: a click writes the question. */
function Tasks() {
  const own = draftPictures.value.length > 0;
  const begin = (/** @type {string} */ prompt) => {
    draftText.value = prompt;
    if (!own) pickFiles();
    focusComposer();
  };
  return html`
    <div class="tasks">
      ${tasks().map(({ kind, title, prompt }) => html`
        <button type="button" class="task" key=${kind} onClick=${() => begin(prompt)}>
          <${Icon} name=${kindIcon(kind)} size=${18} />
          <span>${title}${!own && html`<small>${t().taskNeedsPicture}</small>`}</span>
        </button>`)}
    </div>`;
}

export function Front() {
  const words = t();
  const about = model.value?.weft;
  const samples = (about?.samples ?? []).slice(0, SAMPLES_MAX);
  const own = draftPictures.value.length > 0;
  return html`
    <div class="talk-scroll front-scroll">
      <section class="front">
        <${Mark} size=${40} />
        <h1>${own ? words.frontOwnTitle : words.frontTitle}</h1>
        ${!own && html`<p class="front-about">${about?.about || words.frontAbout}</p>`}
        ${modelsMissing.value && models.value === null && html`
          <p class="front-wait" role="status"><i class="pulse"></i><span><${WithCode} text=${words.modelsWait} /></span></p>`}
        ${!own && touch.matches && html`
          <button type="button" class="button primary front-touch" onClick=${pickFiles}>${words.frontTouch}</button>`}
        ${!own && !touch.matches && html`
          <p class="front-drop"><${Icon} name="picture" size=${18} />
            <span>${words.frontDrop} <button type="button" class="link" onClick=${pickFiles}>${words.frontPick}</button></span></p>`}
        ${samples.length > 0 && !own
          ? html`<h2>${words.frontTry}</h2><div class="samples">${samples.map((s) => html`<${SampleCard} key=${s.title} sample=${s} />`)}</div>`
          : html`<${Tasks} />`}
        ${!own && html`<footer class="front-real">
          <span>${about?.embedded ? words.frontReal : words.frontOwn}</span>
          <${Command} text=${SERVE} />
        </footer>`}
      </section>
    </div>`;
}
