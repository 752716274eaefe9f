// What htmx does not cover: counting times, saying when the page is stale, polling while there is no socket, keeping the focus.
(function () {
  "use strict";
  const STALE_AFTER = 10000; // ms without a word from the server
  const POLL_EVERY = 10000; // ms, while there is no socket
  let heard = performance.now();
  let polled = heard;
  let live = false; // a socket is open
  let ahead = 0; // ms by which the server's clock is ahead of ours
  let said = null; // the verdict that was last read out
  let kept = null; // id of the element that had the focus before a swap

  htmx.config.wsReconnectDelay = function (tries) {
    return Math.random() * Math.min(10000, 1000 * Math.pow(2, Math.min(tries, 4)));
  };

  function span(ms) {
    const s = Math.max(0, Math.round(ms / 1000));
    const d = Math.floor(s / 86400), h = Math.floor(s / 3600) % 24, m = Math.floor(s / 60) % 60;
    if (d) return d + " d " + h + " h";
    if (h) return h + " h " + m + " min";
    if (m) return m + " min " + (s % 60) + " s";
    return s + " s";
  }

  function write(node, text) {
    if (node.textContent !== text) node.textContent = text;
  }

  function count() {
    const now = Date.now() + ahead;
    document.querySelectorAll("time[data-since]").forEach(function (node) {
      write(node, span(now - Date.parse(node.dateTime)));
    });
    document.querySelectorAll("time[data-until]").forEach(function (node) {
      const left = Date.parse(node.dateTime) - now;
      write(node, left > 0 ? span(left) : node.dataset.until || "now");
    });
    document.querySelectorAll("time[data-local]").forEach(function (node) {
      if (!node.title) node.title = new Date(node.dateTime).toLocaleString() + " (your time)";
    });
  }

  function serverTime() {
    const pulse = document.getElementById("pulse");
    if (!pulse || !pulse.dataset.at) return;
    const now = Date.parse(pulse.dataset.at) - Date.now();
    if (Math.abs(now - ahead) > 1000) ahead = now;
  }

  function judge() {
    const page = document.getElementById("live");
    if (!page) return;
    const now = performance.now();
    const banner = document.getElementById("stale");
    const silent = now - heard;
    if (!live && now - polled >= POLL_EVERY) {
      polled = now;
      if (!document.hidden) htmx.trigger(page, "poll");
    }
    const stale = silent > STALE_AFTER + (live ? 0 : POLL_EVERY);
    if (stale) write(document.getElementById("stale-text"), "No word from the console for " + span(silent) + ". What you see is that old; trying again.");
    banner.hidden = !stale;
    const state = document.getElementById("socket-state");
    if (state) {
      write(state, live ? "live" : "polling every 10 s");
      state.dataset.live = live ? "yes" : "no";
    }
  }

  // Only a new verdict is read out; rows change too often for that.
  function announce() {
    const verdict = document.querySelector("#verdict h1");
    if (!verdict) return;
    const text = verdict.textContent.trim();
    if (said !== null && said !== text) write(document.getElementById("announcements"), text);
    said = text;
  }

  function word() {
    heard = performance.now();
  }

  function remember() {
    kept = document.activeElement && document.activeElement.id;
  }

  function restore() {
    const node = kept && document.getElementById(kept);
    if (node && node !== document.activeElement) node.focus({ preventScroll: true });
    kept = null;
    serverTime();
    count();
    judge();
    announce();
  }

  document.addEventListener("htmx:wsOpen", function () {
    live = true;
    word();
    judge();
  });
  document.addEventListener("htmx:wsClose", function () {
    live = false;
    polled = performance.now() - POLL_EVERY / 2;
    judge();
  });
  document.addEventListener("htmx:wsBeforeMessage", function () {
    word();
    remember();
  });
  document.addEventListener("htmx:wsAfterMessage", restore);
  document.addEventListener("htmx:beforeSwap", remember);
  document.addEventListener("htmx:afterSettle", restore);
  document.addEventListener("htmx:afterOnLoad", function (event) {
    if (event.detail.successful && event.detail.elt.id === "live") word();
  });
  // What somebody is typing is never swapped away; disclosures stay as they are.
  document.addEventListener("htmx:oobBeforeSwap", function (event) {
    const target = event.detail.target;
    const busy = document.activeElement;
    if (busy && target.contains(busy) && busy.matches("input:not([type=checkbox]), textarea, select")) event.preventDefault();
    target.querySelectorAll("details[id][open]").forEach(function (open) {
      const fresh = event.detail.fragment.querySelector("#" + CSS.escape(open.id));
      if (fresh) fresh.open = true;
    });
  });

  document.addEventListener("visibilitychange", function () {
    if (!document.hidden) {
      count();
      judge();
    }
  });
  document.addEventListener("DOMContentLoaded", function () {
    serverTime();
    count();
    judge();
    announce();
    setInterval(function () {
      if (document.hidden) return;
      count();
      judge();
    }, 1000);
  });
})();
