// A formula that is wider than the page scrolls: let the keyboard reach it, and only then.
(() => {
  const reachable = { tabindex: 0, role: "group", "aria-label": "Formula" };
  const set = (formula) => Object.entries(reachable).forEach((pair) => formula.setAttribute(...pair));
  const drop = (formula) => Object.keys(reachable).forEach((name) => formula.removeAttribute(name));
  // Measure all before anything is changed: one layout, not one a formula.
  const watch = new ResizeObserver((seen) => {
    const formulas = seen.map(({ target }) => [target, target.scrollWidth > target.clientWidth]);
    formulas
      .filter(([formula, wide]) => wide !== formula.hasAttribute("tabindex"))
      .forEach(([formula, wide]) => (wide ? set : drop)(formula));
  });
  document.querySelectorAll(".katex-display").forEach((formula) => watch.observe(formula));
})();
