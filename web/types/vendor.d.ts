// What the importmap offers and npm ships no types for.
declare module "highlight/core.mjs" {
  interface Highlighter {
    registerLanguage(name: string, grammar: unknown): void;
    getLanguage(name: string): unknown;
    highlight(code: string, options: { language: string; ignoreIllegals?: boolean }): { value: string };
  }
  const hljs: Highlighter;
  export default hljs;
}
declare module "highlight/*" {
  const grammar: unknown;
  export default grammar;
}
