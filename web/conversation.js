// The open conversation as a scrolling column that follows a growing answer until the person scrolls away.
import { useLayoutEffect, useRef, useState } from "preact/hooks";
import { IconButton } from "./controls.js";
import { html } from "./html.js";
import { t } from "./i18n/index.js";
import { Answer, Question } from "./message.js";
import { picturesFor } from "./store.js";

const NEAR_PX = 48;

/** @param {{ conversation: Conversation }} props */
export function ConversationView({ conversation }) {
  const scroller = useRef(/** @type {HTMLDivElement | null} */ (null));
  const content = useRef(/** @type {HTMLDivElement | null} */ (null));
  const follow = useRef(true);
  const [away, setAway] = useState(false);
  const { turns } = conversation;

  const toEnd = () => scroller.current?.scrollTo({ top: scroller.current.scrollHeight });
  const onScroll = () => {
    const el = scroller.current;
    if (!el) return;
    follow.current = el.scrollHeight - el.scrollTop - el.clientHeight < NEAR_PX;
    setAway(!follow.current);
  };

  // A new question, or another conversation: begin at its end.
  useLayoutEffect(() => {
    follow.current = true;
    setAway(false);
    toEnd();
  }, [conversation.id, turns.length]);

  useLayoutEffect(() => {
    if (!content.current || !scroller.current) return undefined;
    const observer = new ResizeObserver(() => follow.current && toEnd());
    observer.observe(content.current);
    observer.observe(scroller.current);
    return () => observer.disconnect();
  }, []);

  return html`
    <div class="talk-body">
    <div class="talk-scroll" ref=${scroller} onScroll=${onScroll}>
      <div class="turns" ref=${content}>
        ${turns.map((turn, i) => {
          if (turn.role === "assistant") {
            return html`<${Answer} key=${turn.id} turn=${turn} pictures=${picturesFor(conversation, turn.id)} last=${i === turns.length - 1} />`;
          }
          const next = turns[i + 1];
          return html`<${Question} key=${turn.id} turn=${turn} answer=${next?.role === "assistant" ? next.id : null} />`;
        })}
      </div>
    </div>
    ${away && html`<${IconButton} icon="down" class="to-latest" label=${t().latest} onClick=${toEnd} />`}
    </div>`;
}
