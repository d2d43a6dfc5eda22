// The search field lists the exported names that contain what was typed, those that begin with it first.
(function () {
  "use strict";
  const field = document.getElementById("search");
  const list = document.getElementById("found");
  const root = document.body.dataset.root;
  const most = 40;

  function rank(name, text) {
    const at = name.indexOf(text);
    if (at < 0) return -1;
    if (name === text) return 0;
    const after = name.slice(name.lastIndexOf(".") + 1);
    if (after === text) return 1;
    if (after.startsWith(text)) return 2;
    return at === 0 ? 3 : 4;
  }

  function show() {
    const text = field.value.trim().toLowerCase();
    list.replaceChildren();
    list.hidden = text === "";
    if (text === "") return;
    const found = [];
    for (const [name, page] of names) {
      const r = rank(name.toLowerCase(), text);
      if (r >= 0) found.push([r, name, page]);
    }
    found.sort((a, b) => a[0] - b[0] || a[1].length - b[1].length);
    for (const [, name, page] of found.slice(0, most)) {
      const a = document.createElement("a");
      a.href = root + "/" + page;
      a.textContent = name;
      const item = document.createElement("li");
      item.append(a);
      list.append(item);
    }
    if (found.length === 0 || found.length > most) {
      const item = document.createElement("li");
      item.textContent = found.length === 0 ? "No such name." : "… " + (found.length - most) + " more";
      list.append(item);
    }
  }

  field.addEventListener("input", show);
  document.addEventListener("keydown", (e) => {
    if (e.key === "/" && document.activeElement !== field) {
      e.preventDefault();
      field.focus();
    }
    if (e.key === "Enter" && document.activeElement === field) {
      const first = list.querySelector("a");
      if (first) first.click();
    }
  });
})();
