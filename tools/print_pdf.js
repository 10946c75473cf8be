// Turn the one-page edition into a book: a title page, contents, chapters that begin on a page of
// their own, the solutions at the end of each. Returns the ids that the contents lists.
({ authors, version, date, licence }) => {
  const make = (name, attributes = {}, ...children) => {
    const node = document.createElement(name);
    Object.entries(attributes).forEach(([key, value]) => node.setAttribute(key, value));
    node.append(...children);
    return node;
  };
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const article = document.querySelector("article");
  const wrappers = all(".toctree-wrapper", article).filter((w) => !w.parentElement.closest(".toctree-wrapper"));

  // The parts, each a list of chapters, taken out of the page they were put into.
  const names = all(".bd-docs-nav .caption").map((caption) => caption.textContent.trim());
  const parts = wrappers.map((wrapper, i) => {
    wrapper.remove();
    return { name: names[i], chapters: [...wrapper.children].filter((child) => child.matches("section")) };
  });
  const front = article.querySelector(":scope > section");
  const title = front.querySelector("h1").firstChild.textContent;
  front.querySelector("h1").remove();
  all("section", front).filter((s) => !s.textContent.replace(/Contents|#/g, "").trim()).forEach((s) => s.remove());

  // Headings: a chapter's is an h1, and so on down.
  const chapters = parts.flatMap((part) => part.chapters);
  chapters.forEach((chapter) => {
    chapter.classList.add("chapter");
    const heads = all("h1, h2, h3, h4, h5, h6", chapter);
    const top = Number(heads[0].tagName[1]);
    heads.forEach((head) => {
      const level = Math.min(6, Number(head.tagName[1]) - top + 1);
      head.replaceWith(make(`h${level}`, {}, ...head.childNodes));
    });
  });

  // Solutions go to the end of their chapter, so that nobody reads them by accident.
  chapters.forEach((chapter) => {
    const solutions = all("div.solution", chapter);
    if (!solutions.length) return;
    chapter.append(make("section", { id: `solutions-${chapter.id}` }, make("h2", {}, "Solutions"), ...solutions));
  });

  // Title page, contents, and the rest in order.
  const logo = new URL("_static/logo.svg", location.href).href;
  const cover = make("section", { class: "cover" }, make("img", { src: logo, alt: "" }), make("h1", {}, title),
    make("p", {}, authors), make("p", {}, `Version ${version}, ${date}`), make("p", {}, licence));
  const list = make("ol");
  const contents = make("section", { class: "contents" }, make("h1", {}, "Contents"), list);
  const entry = (section, kind) => {
    const head = section.querySelector("h1, h2");
    const words = head.cloneNode(true);
    all(".headerlink", words).forEach((mark) => mark.remove());
    const id = `place-${list.children.length}`; // sections of two chapters may share a name
    head.prepend(make("span", { id }));
    list.append(make("li", { class: kind }, make("a", { href: `#${id}` }, make("span", {}, ...words.childNodes),
      make("span", { class: "page", "data-for": id }, "000"))));
  };
  const about = make("section", { class: "chapter", id: "about-this-book" }, make("h1", {}, "About this book"), ...front.childNodes);
  article.replaceChildren(cover, contents, about);
  entry(about, "of-chapter");
  parts.forEach(({ name, chapters }) => {
    const numbered = name.startsWith("Part");
    if (name) list.append(make("li", { class: "in-part" }, name));
    if (numbered) article.append(make("section", { class: "part" }, make("h1", {}, name)));
    chapters.forEach((chapter) => {
      article.append(chapter);
      entry(chapter, "of-chapter");
      if (numbered) all(":scope > section", chapter).forEach((section) => entry(section, "of-section"));
    });
  });
  // What is folded away because it only draws a figure stays away; everything else is open.
  all(".cell.tag_hide-input > details").forEach((fold) => fold.remove());
  all("details").forEach((fold) => { fold.open = true; });
  all(".fc-reveal > .summary").forEach((words) => { words.textContent = "Answer"; words.style.fontWeight = 600; });
  // A few lines of code stay on one page; so do tables, but for those that would leave one empty.
  all("table").filter((table) => table.rows.length > 20).forEach((table) => table.classList.add("long"));
  all("pre").filter((code) => code.textContent.split("\n").length < 15).forEach((code) => code.classList.add("short"));
  all("div.cell_output img").filter((image) => image.naturalWidth > 2 * image.naturalHeight)
    .forEach((image) => image.classList.add("wide")); // two panels
  // Of the package, the signatures and what each thing is in one sentence.
  all("dl.py > dd").forEach((dd) => [...dd.children].slice(1).forEach((more) => more.remove()));
  // One copy of each formula, with its source as the alternative text.
  all(".katex").forEach((formula) => {
    const source = formula.querySelector("annotation")?.textContent ?? formula.textContent;
    formula.querySelector(".katex-mathml")?.remove();
    formula.setAttribute("role", "img");
    formula.setAttribute("aria-label", source);
  });

  // Links stay within the book, or lead to the web.
  const here = new Set(all("[id]").map((node) => node.id));
  all("a[href]").forEach((link) => {
    const address = link.getAttribute("href");
    if (/^(https?:|mailto:)/.test(address)) return;
    const name = decodeURIComponent(address.split("#").at(-1));
    if (address.includes("#") && here.has(name)) link.setAttribute("href", `#${name}`);
    else link.removeAttribute("href");
  });

  return all(".page[data-for]").map((place) => place.dataset.for);
}
