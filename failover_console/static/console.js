// What htmx does not cover: counting times, saying when the page is stale, polling while there is no socket.
(function () {
  "use strict";
  const STALE_AFTER = 10000; // ms without a message from the server
  const POLL_EVERY = 10000; // ms, while there is no socket
  let heardAt = performance.now();
  let polledAt = heardAt;
  let live = false; // a socket is open
  let ahead = 0; // ms by which the server's clock is ahead of ours
  let announced = null; // the headline that was last read out

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
    if (node.textContent === text) return;
    if (node.childNodes.length === 1 && node.firstChild.nodeType === Node.TEXT_NODE) node.firstChild.nodeValue = text;
    else node.textContent = text;
  }

  function count() {
    window.keeping(countAll);
  }

  function countAll() {
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
    const freshness = document.getElementById("freshness");
    if (!freshness || !freshness.dataset.at) return;
    const now = Date.parse(freshness.dataset.at) - Date.now();
    if (Math.abs(now - ahead) > 1000) ahead = now;
  }

  function showFreshness() {
    const page = document.getElementById("live");
    if (!page) return;
    const now = performance.now();
    const banner = document.getElementById("stale");
    const silent = now - heardAt;
    if (!live && now - polledAt >= POLL_EVERY) {
      polledAt = now;
      if (!document.hidden) htmx.trigger(page, "poll");
    }
    const stale = silent > STALE_AFTER + (live ? 0 : POLL_EVERY);
    if (stale) write(document.getElementById("stale-text"), "No answer from the console for " + span(silent) + ". What you see is that old; trying again.");
    banner.hidden = !stale;
    const state = document.getElementById("socket-state");
    if (state) {
      write(state, live ? "live" : "polling every 10 s");
      state.dataset.live = live ? "yes" : "no";
    }
  }

  // Only a new headline is read out; rows change too often for that.
  function announce() {
    const headline = document.querySelector("#headline h1");
    if (!headline) return;
    const text = headline.textContent.trim();
    if (announced !== null && announced !== text) write(document.getElementById("announcements"), text);
    announced = text;
  }

  function heard() {
    heardAt = performance.now();
  }

  function changed() {
    serverTime();
    count();
    showFreshness();
    announce();
  }

  document.addEventListener("htmx:wsOpen", function () {
    live = true;
    heard();
    showFreshness();
  });
  document.addEventListener("htmx:wsClose", function () {
    live = false;
    polledAt = performance.now() - POLL_EVERY / 2;
    showFreshness();
  });
  document.addEventListener("htmx:wsBeforeMessage", heard);
  document.addEventListener("htmx:wsAfterMessage", changed);
  document.addEventListener("htmx:afterSettle", changed);
  document.addEventListener("htmx:afterOnLoad", function (event) {
    if (event.detail.successful && event.detail.elt.id === "live") heard();
  });
  document.addEventListener("visibilitychange", function () {
    if (!document.hidden) {
      count();
      showFreshness();
    }
  });
  document.addEventListener("DOMContentLoaded", function () {
    serverTime();
    count();
    showFreshness();
    announce();
    setInterval(function () {
      if (document.hidden) return;
      count();
      showFreshness();
    }, 1000);
  });
})();
