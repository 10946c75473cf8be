// A formula that is wider than the page scrolls: let the keyboard reach it, and only then.
(() => {
  const formulas = document.querySelectorAll(".katex-display");
  const update = (formula) => {
    const wide = formula.scrollWidth > formula.clientWidth;
    const change = wide ? formula.setAttribute : formula.removeAttribute;
    for (const [name, value] of [["tabindex", 0], ["role", "group"], ["aria-label", "Formula"]])
      change.call(formula, name, value);
  };
  const watch = new ResizeObserver((seen) => seen.forEach(({ target }) => update(target)));
  formulas.forEach((formula) => watch.observe(formula));
})();
