// Changes an element of the page into a newer one and touches only what differs, so that focus, selection, typed text, open
// details and scroll stay.  Children are known by their id, else by their place.  What scripts and people change is theirs.
// Of our own: no Python package ships idiomorph, and we neither copy code nor load it from elsewhere.
(function () {
  "use strict";
  const THEIRS = { DETAILS: ["open"], DIALOG: ["open"], INPUT: ["value", "checked"], OPTION: ["selected"] };

  function alike(a, b) {
    return a.nodeName === b.nodeName && (a.id || "") === (b.id || "");
  }

  function attributes(from, to) {
    const theirs = THEIRS[from.nodeName] || [];
    for (const each of [...from.attributes]) {
      if (!to.hasAttribute(each.name) && !theirs.includes(each.name)) from.removeAttribute(each.name);
    }
    for (const each of to.attributes) {
      if (from.getAttribute(each.name) !== each.value && !theirs.includes(each.name)) from.setAttribute(each.name, each.value);
    }
  }

  function place(parent, node, before) {
    if (node.isConnected && parent.moveBefore) parent.moveBefore(node, before); // keeps the focus
    else parent.insertBefore(node, before);
  }

  function children(from, to) {
    const wanted = new Set();
    const known = new Map();
    for (const each of to.children) if (each.id) wanted.add(each.id);
    for (const each of from.children) if (each.id) known.set(each.id, each);
    const stays = (node) => node.id && wanted.has(node.id);
    let at = from.firstChild;
    for (const next of [...to.childNodes]) {
      let match = next.id ? known.get(next.id) : at;
      while (match && next.nodeType === Node.ELEMENT_NODE && !next.id && (stays(match) || !alike(match, next))) match = match.nextSibling;
      if (match && match.nodeName !== next.nodeName) match = null;
      if (!match) {
        from.insertBefore(next, at);
        continue;
      }
      while (at && at !== match && !stays(at)) {
        const gone = at;
        at = at.nextSibling;
        gone.remove();
      }
      if (at !== match) place(from, match, at);
      one(match, next);
      at = match.nextSibling;
    }
    while (at) {
      const gone = at;
      at = at.nextSibling;
      gone.remove();
    }
  }

  function one(from, to) {
    if (from.nodeType !== Node.ELEMENT_NODE) {
      if (from.nodeValue !== to.nodeValue) from.nodeValue = to.nodeValue;
      return;
    }
    if (from.isEqualNode(to)) return;
    const counted = from.nodeName === "TIME" && from.dateTime === to.dateTime && !from.hasAttribute("data-local");
    attributes(from, to);
    if (!counted && from.nodeName !== "TEXTAREA") children(from, to);
  }

  function within(node, offset) {
    return Math.min(offset, node.nodeType === Node.TEXT_NODE ? node.length : node.childNodes.length);
  }

  // Does `change` to the page, and puts the selection and the focus back where they were.
  window.keeping = function (change) {
    const focused = document.activeElement;
    const marked = getSelection();
    const { anchorNode, anchorOffset, focusNode, focusOffset, isCollapsed } = marked;
    change();
    if (!isCollapsed && anchorNode.isConnected && focusNode.isConnected) {
      const [start, end] = [within(anchorNode, anchorOffset), within(focusNode, focusOffset)];
      const same = marked.anchorNode === anchorNode && marked.focusNode === focusNode && marked.anchorOffset === start && marked.focusOffset === end;
      if (!same) marked.setBaseAndExtent(anchorNode, start, focusNode, end);
    }
    if (focused && focused !== document.body && document.activeElement !== focused) {
      const again = focused.isConnected ? focused : focused.id && document.getElementById(focused.id);
      if (again) again.focus({ preventScroll: true });
    }
  };

  window.morph = function (from, to) {
    const had = from.contains(document.activeElement);
    window.keeping(function () {
      if (alike(from, to)) one(from, to);
      else from.replaceWith(to);
    });
    htmx.process(document.getElementById(to.id) || document.body);
    // What had the focus is gone: whoever works with the keys goes on beside it.
    const near = had && document.activeElement === document.body && from.querySelector("a[href], button:enabled, input, summary");
    if (near) near.focus({ preventScroll: true });
  };

  // Fragments of the socket and of the polled page come the same way.
  document.addEventListener("htmx:oobBeforeSwap", function (event) {
    const fresh = event.detail.fragment.firstElementChild;
    if (!fresh) return;
    event.detail.shouldSwap = false;
    window.morph(event.detail.target, fresh);
  });
})();
