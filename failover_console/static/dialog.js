// Opens what htmx put into the page as a modal dialog, closes it, and lets messages leave.
(function () {
  "use strict";
  const LEAVES_AFTER = 8000; // ms; errors stay
  let opener = null; // id of the button that asked

  function close() {
    const dialog = document.getElementById("dialog");
    if (dialog && dialog.open) dialog.close();
  }

  // Focus goes back to the button that opened the dialog, or to the one that stands in its place now.
  function closed(event) {
    event.target.remove();
    const back = (opener && document.getElementById(opener)) || document.querySelector("#actions button, #automation button");
    if (back) back.focus({ preventScroll: true });
  }

  function said() {
    for (const message of document.querySelectorAll("#messages [data-leaves]:not([data-leaving])")) {
      message.dataset.leaving = "";
      const leave = function () {
        if (!message.isConnected) return;
        if (message.matches(":hover, :focus-within") || document.querySelector("dialog[open]")) setTimeout(leave, LEAVES_AFTER);
        else message.remove();
      };
      setTimeout(leave, LEAVES_AFTER);
    }
  }

  document.addEventListener("htmx:beforeRequest", function (event) {
    const asks = event.detail.elt;
    if (asks.getAttribute("aria-haspopup") === "dialog") opener = asks.id;
  });
  document.addEventListener("htmx:afterSwap", function (event) {
    if (event.detail.target.id === "messages") {
      close();
      said();
    }
    if (event.detail.target.id !== "asking") return;
    const dialog = document.getElementById("dialog");
    if (!dialog || dialog.open) return;
    dialog.addEventListener("close", closed);
    dialog.showModal();
  });
  document.addEventListener("click", function (event) {
    if (event.target.closest("[data-dismiss]")) event.target.closest(".message").remove();
  });

  // A request that failed without an answer for people is never silent.
  function sayFailed(event) {
    const cause = event.detail.requestConfig;
    const asks = event.detail.elt.getAttribute("aria-haspopup") === "dialog";
    if (cause.verb === "get" && !asks) return;
    const status = event.detail.xhr && event.detail.xhr.status;
    const told = document.createElement("div");
    told.className = "message error";
    told.setAttribute("role", "alert");
    told.textContent = (status ? "The console answered " + status : "The console did not answer") + ": " + (asks ? "nothing was done." : "see whether it was done before you ask again.");
    document.getElementById("messages").replaceChildren(told);
    close();
  }
  document.addEventListener("htmx:responseError", sayFailed);
  document.addEventListener("htmx:sendError", sayFailed);
  document.addEventListener("htmx:timeout", sayFailed);
  document.addEventListener("DOMContentLoaded", said);
})();
