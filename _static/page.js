// A reader's progress: pages read and questions answered, kept in this browser alone.
(() => {
  const KEY = "large-models-measured";
  const root = new URL(document.documentElement.dataset.content_root || "./", location.href);

  function load() {
    try {
      const kept = JSON.parse(localStorage.getItem(KEY));
      if (kept && kept.read && kept.answers) return kept;
    } catch {}
    return { read: {}, answers: {} };
  }
  function save(progress) {
    try {
      localStorage.setItem(KEY, JSON.stringify(progress));
    } catch {} // private windows keep nothing; the page works all the same
  }
  function pageOf(link) {
    const at = new URL(link.getAttribute("href"), location.href);
    const whole = at.origin + at.pathname; // a file's origin is "null", its path is whole
    const base = root.origin + root.pathname;
    return whole.startsWith(base) ? whole.slice(base.length).replace(/\.html$/, "") : null;
  }

  // Pages that were read carry a tick in the menu, and say so to a screen reader.
  function tick(progress, page) {
    for (const link of document.querySelectorAll(".bd-sidenav a, .page-map a")) {
      const name = link.getAttribute("href") === "#" ? page : pageOf(link);
      const done = Boolean(progress.read[name]);
      const mark = link.querySelector(".read-tick");
      if (done && !mark) {
        const span = document.createElement("span");
        span.className = "read-tick";
        span.innerHTML = ' <span aria-hidden="true">✓</span><span class="visually-hidden"> (read)</span>';
        link.append(span);
      } else if (!done && mark) mark.remove();
    }
  }

  function summarize(progress, box) {
    const read = Object.keys(progress.read).length;
    const answers = Object.values(progress.answers);
    const right = answers.filter((first) => first === "right").length;
    const p = document.createElement("p");
    p.setAttribute("role", "status");
    p.textContent =
      `Pages marked as read: ${read}. Quiz questions answered: ${answers.length}` +
      (answers.length ? `, ${right} of them right at the first try.` : ".");
    const clear = document.createElement("button");
    clear.type = "button";
    clear.className = "clear-progress";
    clear.textContent = "Clear my progress";
    clear.addEventListener("click", () => {
      try {
        localStorage.removeItem(KEY);
      } catch {}
      summarize(load(), box);
      tick(load(), null);
    });
    box.replaceChildren(p, clear);
  }

  function begin() {
    const tools = document.querySelector(".page-tools");
    const page = tools?.dataset.page;
    const progress = load();
    tick(progress, page);
    const box = document.querySelector(".reading-progress");
    if (box) summarize(progress, box);
    if (!page) return;
    const mark = tools.querySelector(".read-mark input");
    mark.checked = Boolean(progress.read[page]);
    mark.addEventListener("change", () => {
      const now = load();
      if (mark.checked) now.read[page] = new Date().toISOString().slice(0, 10);
      else delete now.read[page];
      save(now);
      tick(now, page);
    });
    document.querySelectorAll(".quiz").forEach((quiz, number) => {
      quiz.addEventListener("toggle", (event) => {
        const answer = event.target.closest(".quiz-answer");
        if (!answer || !event.target.open) return;
        const now = load();
        const key = `${page}#${number + 1}`;
        now.answers[key] ??= answer.classList.contains("right") ? "right" : "wrong";
        save(now);
      }, true); // "toggle" does not bubble
    });
  }
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", begin);
  else begin();
})();
