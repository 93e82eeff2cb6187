// Keeps a page fresh. Everything works without this: it only fetches the page's content again when the server says that
// something changed, and helps with the name of an approved PC.
"use strict";

(() => {
  const PAUSE_AFTER_ERROR_MS = 5000;
  const READ_MS = 10000; // Long enough to read what was just done.
  const REFRESH_MS = 60000; // Ages like "3 min ago" grow even when nothing changes.

  let source = null;
  let busy = false;
  let again = false;
  let edited = false;
  let shown = null;

  const main = () => document.querySelector("main[data-live]");
  const stale = document.getElementById("stale");

  // Somebody who types or chooses must not lose it.
  const editing = () => {
    const active = document.activeElement;
    const typing = active && main().contains(active) && active.matches("input, select, textarea");
    return edited || typing;
  };

  // Search fields are part of the address and harmless to leave.
  document.addEventListener("input", (event) => {
    if (event.target.closest("main") && !event.target.closest("form[role=search]")) edited = true;
  });

  const fragmentAddress = () => {
    const address = new URL(location.href);
    address.searchParams.set("fragment", "1");
    address.hash = "";
    return address;
  };

  const refresh = async () => {
    if (busy) {
      again = true;
      return;
    }
    busy = true;
    try {
      const response = await fetch(fragmentAddress(), { headers: { accept: "text/html" } });
      if (response.status === 401) {
        location.reload();
        return;
      }
      if (!response.ok) return;
      const text = await response.text();
      if (text !== shown) put(text);
    } catch {
      // The server is away; the event source tries again and then calls us.
    } finally {
      busy = false;
      if (again) {
        again = false;
        refresh();
      }
    }
  };

  const put = (text) => {
    const fresh = new DOMParser().parseFromString(text, "text/html").querySelector("main");
    const old = main();
    if (!fresh || !old) return;
    if (same(old, fresh)) {
      shown = text;
      return;
    }
    if (editing()) {
      // Progress and ages may move on under a form; only what a person would miss is worth a word.
      if (document.querySelector("main form.stack")) stale.hidden = false;
      return;
    }
    shown = text;
    const focused = document.activeElement;
    const back = old.contains(focused) ? locate(old, focused) : null;
    old.replaceChildren(...fresh.childNodes);
    // What was done a while ago may not be true of what is shown.
    if (performance.now() > READ_MS) document.querySelector("body > .flash.good")?.remove();
    if (back) back()?.focus({ preventScroll: true });
    stale.hidden = true;
  };

  const same = (a, b) => a.textContent === b.textContent && a.innerHTML === b.innerHTML;

  // A link or button is found again by what it does.
  const locate = (root, element) => {
    const attribute = ["id", "href", "formaction"].find((name) => element.hasAttribute(name));
    const form = element.form && element.form.getAttribute("action");
    if (attribute) {
      const value = CSS.escape(element.getAttribute(attribute));
      return () => root.querySelector(`[${attribute}="${value}"]`);
    }
    if (form) return () => root.querySelector(`form[action="${CSS.escape(form)}"] ${element.localName}`);
    return null;
  };

  // A hidden tab listens to nothing: browsers allow six connections to one host.
  const listen = () => {
    if (source || document.hidden || !main()) return;
    source = new EventSource("/events");
    source.addEventListener("changed", refresh);
    source.addEventListener("error", () => {
      if (source.readyState !== EventSource.CLOSED) return;
      // Refused: signed out, or too many tabs. A fetch finds out which.
      source = null;
      setTimeout(() => {
        refresh();
        listen();
      }, PAUSE_AFTER_ERROR_MS);
    });
  };

  const rest = () => {
    if (source) source.close();
    source = null;
  };

  // The next free name follows the chosen room, unless the person wrote one.
  document.addEventListener("change", (event) => {
    const select = event.target;
    if (!select.dataset || !select.dataset.names) return;
    const field = document.getElementById(select.dataset.names);
    const names = Array.from(select.options, (option) => option.dataset.name || "");
    if (field && (field.value === "" || names.includes(field.value))) {
      field.value = select.selectedOptions[0].dataset.name || "";
    }
  });

  document.addEventListener("visibilitychange", () => (document.hidden ? rest() : listen()));
  window.addEventListener("pagehide", rest);
  window.addEventListener("pageshow", listen);
  setInterval(() => {
    if (!document.hidden && main()) refresh();
  }, REFRESH_MS);
  listen();
})();
