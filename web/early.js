// Runs before the first paint: sets theme and language on <html>, so that nothing flashes. Classic script on purpose.
(() => {
  let theme = null;
  let lang = null;
  try {
    const prefs = JSON.parse(localStorage.getItem("weft.prefs") ?? "{}");
    theme = prefs.theme;
    lang = prefs.lang;
  } catch {
    // Storage is off or holds something else: the system's theme and language serve.
  }
  const root = document.documentElement;
  if (theme === "light" || theme === "dark") root.dataset.theme = theme;
  root.lang = (lang ?? navigator.language).startsWith("zh") ? "zh-CN" : "en";
})();
