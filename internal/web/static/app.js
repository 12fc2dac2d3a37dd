// Follows the page: when the server says that something changed, the page is
// fetched again and the parts of it that differ are put in place. Without this
// script everything works; a reload shows what is new.
(() => {
  "use strict";
  const root = document.documentElement;
  const topics = document.body.dataset.live;
  const mark = document.getElementById("live");

  for (const form of document.querySelectorAll("form[data-auto]")) {
    form.addEventListener("change", () => form.requestSubmit());
    form.querySelector("button")?.setAttribute("hidden", "");
  }
  if (!topics || !window.EventSource) return;

  const say = (state, text) => {
    mark.hidden = false;
    mark.dataset.state = state;
    mark.querySelector("span").textContent = text;
  };
  let busy = false, again = false;
  const refresh = async () => {
    if (busy) { again = true; return; }
    busy = true;
    try {
      const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
      if (answer.redirected) { location.reload(); return; }
      if (!answer.ok) return;
      const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
      for (const part of document.querySelectorAll("[data-part]")) {
        const next = fresh.getElementById(part.id);
        if (!next || next.innerHTML === part.dataset.was) continue;
        part.dataset.was = next.innerHTML;
        if (part.contains(document.activeElement) && document.activeElement.matches("input, select, summary")) continue;
        const open = new Set([...part.querySelectorAll("details[id]")].filter((d) => d.open).map((d) => d.id));
        const shut = new Set([...part.querySelectorAll("details[id]")].filter((d) => !d.open).map((d) => d.id));
        part.replaceChildren(...next.childNodes);
        for (const d of part.querySelectorAll("details[id]")) {
          if (open.has(d.id)) d.open = true;
          if (shut.has(d.id)) d.open = false;
        }
      }
      root.dataset.updated = fresh.documentElement.dataset.drawn;
    } finally {
      busy = false;
      if (again) { again = false; refresh(); }
    }
  };
  // A browser allows few connections to a server: a page that nobody looks at
  // gives its own back.
  let stream;
  const follow = () => {
    if (stream || document.hidden) return;
    stream = new EventSource(root.dataset.base + "/live?topics=" + encodeURIComponent(topics));
    stream.addEventListener("open", () => say("on", "Live"));
    stream.addEventListener("change", refresh);
    stream.addEventListener("error", () => say("off", "Reconnecting"));
  };
  const leave = () => {
    stream?.close();
    stream = undefined;
  };
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) { leave(); return; }
    follow();
    refresh();
  });
  addEventListener("pagehide", leave);
  addEventListener("pageshow", (e) => { if (e.persisted) { follow(); refresh(); } });
  follow();
})();
