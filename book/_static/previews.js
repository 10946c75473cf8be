// What a link leads to, shown when the reader points at it. The texts, and the library that places
// them, are fetched at the first such moment, and each preview is made when it is wanted.
(() => {
  const sources = document.currentScript.dataset.load.split(" ");
  const load = (src) => new Promise((onload) => {
    document.head.append(Object.assign(document.createElement("script"), { src, onload }));
  });
  let loaded;

  async function preview({ target }) {
    const link = target.closest?.("article a:not(.headerlink, .sd-stretched-link)");
    if (!link || link._tippy) return;
    loaded ??= sources.reduce((before, src) => before.then(() => load(src)), Promise.resolve());
    await loaded;
    const found = Object.entries(selector_to_html).find(([selector]) => link.matches(selector));
    if (!found || link._tippy) return;
    link.removeAttribute("title"); // or the browser shows it beside the preview
    const tip = tippy(link, { content: found[1], allowHTML: true, placement: "auto-start", maxWidth: 500 });
    if (link.matches(":hover, :focus")) tip.show();
  }

  addEventListener("pointerover", preview);
  addEventListener("focusin", preview);
})();
