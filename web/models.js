// The choice of model: a button that names it and a list that says what each one can do.
import { useEffect, useState } from "preact/hooks";
import { useOutside } from "./controls.js";
import { html } from "./html.js";
import { Icon } from "./icons.js";
import { fmtCompact, fmtContext, t } from "./i18n/index.js";
import { chooseModel, dialog, model, models } from "./store.js";

/** @param {Model} m */
function facts(m) {
  const words = t();
  const w = m.weft ?? {};
  return [
    w.embedded && words.builtIn,
    w.parameters && words.parameters(fmtCompact(w.parameters)),
    w.context_length && words.context(fmtContext(w.context_length)),
    w.vision === false && words.textOnly,
    w.thinking && words.thinks,
  ].filter(Boolean).join(" · ");
}

export function ModelPicker() {
  const [open, setOpen] = useState(false);
  const ref = useOutside(open, () => setOpen(false));
  const list = models.value ?? [];
  const chosen = model.value;

  useEffect(() => {
    if (open) ref.current?.querySelector(/** @type {"button"} */ ("[aria-checked=true], .menu button"))?.focus();
  }, [open]);

  /** @param {KeyboardEvent} e */
  const keys = (e) => {
    if (!open) return;
    const items = [...(ref.current?.querySelectorAll(".menu button") ?? [])];
    const at = items.indexOf(/** @type {Element} */ (document.activeElement));
    if (e.key === "Escape") {
      e.stopPropagation();
      setOpen(false);
      ref.current?.querySelector("button")?.focus();
    } else if (e.key === "ArrowDown" || e.key === "ArrowUp") {
      e.preventDefault();
      const next = items[(at + (e.key === "ArrowDown" ? 1 : -1) + items.length) % items.length];
      if (next instanceof HTMLElement) next.focus();
    }
  };

  /** @param {() => void} act */
  const choose = (act) => () => {
    setOpen(false);
    act();
  };

  return html`
    <div class="model" ref=${ref} onKeyDown=${keys}>
      <button type="button" class="model-button" aria-haspopup="menu" aria-expanded=${open} aria-label=${`${t().model}: ${chosen?.id ?? t().noModel}`}
        onClick=${() => setOpen(!open)}>
        <span class="model-name">${chosen?.id ?? t().noModel}</span><${Icon} name="chevron" size=${16} />
      </button>
      ${open && html`
        <div class="menu" role="menu" aria-label=${t().model}>
          ${list.map((m) => html`
            <button type="button" role="menuitemradio" key=${m.id} aria-checked=${m.id === chosen?.id} onClick=${choose(() => chooseModel(m.id))}>
              <span class="menu-name">${m.id}</span>
              <span class="menu-facts">${facts(m)}</span>
              ${m.weft?.about && html`<span class="menu-about">${m.weft.about}</span>`}
              ${m.id === chosen?.id && html`<${Icon} name="check" size=${16} />`}
            </button>`)}
          <button type="button" role="menuitem" class="menu-other" onClick=${choose(() => (dialog.value = "real"))}>
            <${Icon} name="plus" size=${16} /><span class="menu-name">${t().otherModel}</span>
          </button>
        </div>`}
    </div>`;
}
