// What htmx does not cover: times, whether the page is live, dialogs and messages, keys, cards of node cells.
const LIVE_FOR = 5000, LOST_AFTER = 12000, POLL_EVERY = 4000; // ms
const root = document.documentElement, find = (what) => document.querySelector(what), all = (what) => document.querySelectorAll(what);
const on = (types, act) => types.split(" ").forEach((type) => document.addEventListener(type, act));
const poll = () => find("#live") && htmx.trigger("#live", "poll");

function write(node, text) {
	if (node && node.textContent !== text) node.firstChild ? (node.firstChild.nodeValue = text) : (node.textContent = text);
}

// Times count by the server's clock, and are written in the reader's zone.
const zone = root.dataset.zone || undefined, formats = {};
const FORMS = { full: { dateStyle: "medium", timeStyle: "medium" }, clock: { timeStyle: "medium" }, minute: { timeStyle: "short" }, day: { day: "numeric", month: "short" }, month: { month: "short" } };
const words = (instant, form, timeZone) => (formats[form + timeZone] ||= new Intl.DateTimeFormat("en-GB", { timeZone, ...FORMS[form] })).format(instant);
let ahead = 0;

function span(ms) {
	const s = Math.max(0, Math.round(ms / 1000)), m = Math.floor(s / 60), h = Math.floor(m / 60), d = Math.floor(h / 24);
	return d ? `${d} d ${h % 24} h` : h ? `${h} h ${m % 60} min` : m ? `${m} min ${s % 60} s` : `${s} s`;
}

function count() {
	const now = Date.now() + ahead;
	for (const node of all("time[data-since], time[data-until]")) {
		const left = new Date(node.dateTime) - now, { until } = node.dataset;
		write(node, until === undefined ? span(-left) : left > 0 ? span(left) : until);
	}
	for (const node of all("time:not([title]), [data-at*=T]")) {
		const instant = new Date(node.dateTime || node.dataset.at), local = node.dataset.local || node.dataset.form || (node.dateTime ? "" : "full");
		if (node.dateTime) node.title = `${words(instant, "full", zone)} here, ${words(instant, "full", "UTC")} UTC`;
		else node.removeAttribute("data-at");
		if (local) write(node, words(instant, local, zone));
	}
	const here = words(now, "clock", zone), there = words(now, "clock", "UTC");
	write(find("[data-age]"), find("#freshness")?.textContent);
	write(find("#clocks"), `${here === there ? "" : `${here} here · `}${there} UTC`);
}

window.localise = count;

// Live: the socket sent a frame a moment ago; without one the page polls, and says when it is old.
let framed = -LIVE_FOR, heard = performance.now(), pollAt = heard + POLL_EVERY, verdict;

function link() {
	const now = performance.now(), state = now - framed < LIVE_FOR ? "live" : now - heard < LOST_AFTER ? "polling" : "not live";
	if (!find("#socket")) return;
	if (state !== "live" && now > pollAt && !document.hidden) {
		pollAt = now + POLL_EVERY * (0.75 + Math.random() / 2);
		poll();
	}
	root.dataset.link = state;
	for (const each of all("[data-link-word]")) write(each, state);
	find("#stale").hidden = state !== "not live";
}

// The verdict is read out once; its title and icon are the page's.
function announce() {
	const shown = find("[data-verdict]"), text = shown?.querySelector("h1").textContent.trim();
	if (!shown) return;
	const { title, favicon, verdict: truth } = shown.dataset, hit = truth === "users_hit", aloud = find("#announcements");
	if (title) document.title = `${title} · Failover console`;
	if (favicon) find("#favicon").href = favicon;
	if (verdict && verdict !== text) {
		aloud.role = hit ? "alert" : "status";
		write(aloud, text);
		if (hit && root.dataset.sound) beep(new AudioContext());
		if (hit && root.dataset.notify) notify(text);
	}
	verdict = text;
}

function notify(body) {
	try {
		new Notification("Users are hit", { body, tag: "users-hit" });
	} catch {
		// On phones pages may not; the sound and the words are left.
	}
}

function beep(audio) {
	const tone = audio.createOscillator();
	tone.connect(audio.destination);
	tone.start();
	tone.stop(audio.currentTime + 0.4);
}

function changed() {
	const off = new Date(find("#freshness")?.dataset.now) - Date.now(), open = find("#foot-figures")?.dataset.open;
	if (Math.abs(off - ahead) > 1000) ahead = off;
	for (const each of all("[data-open-count]")) write(each, +open ? open : "");
	keeping(count);
	link();
	announce();
}

// One socket a page: the one that was opened last, since a filter turns to another topic.
let socket;
on("htmx:wsOpen", ({ detail: { event } }) => {
	if (socket !== event.target) socket?.close();
	socket = event.target;
});
on("htmx:wsBeforeMessage", () => (framed = heard = performance.now()));
on("htmx:wsAfterMessage htmx:afterSettle", changed);
on("htmx:afterOnLoad", ({ detail }) => detail.successful && detail.elt.id === "live" && (heard = performance.now()));
on("visibilitychange", () => document.hidden || poll());
on("DOMContentLoaded", () => {
	htmx.config.wsReconnectDelay = (tries) => Math.random() * Math.min(10000, 1000 * 2 ** tries);
	changed();
	setInterval(() => document.hidden || (keeping(count), link()), 1000);
});
// Dialogs come from htmx; messages leave when their time has run, and a request that failed is never silent.
const asks = (element) => element.ariaHasPopup === "dialog", close = () => find("#dialog[open]")?.close();
let opener; // id of the button that asked

function say(what, status = "") {
	const told = find(`template#${what}`).content.cloneNode(true);
	write(told.querySelector("b"), status);
	find("#messages").replaceChildren(told);
	close();
}

on("htmx:beforeRequest", (event) => {
	const { elt } = event.detail;
	if (asks(elt)) opener = elt.id;
	if (!asks(elt) || elt.name !== "action" || root.dataset.link !== "not live") return;
	event.preventDefault();
	say("too-old");
});
on("htmx:afterSwap", ({ detail: { target } }) => {
	if (target?.id === "messages") close();
	const dialog = target?.id === "asking" && find("#dialog:not([open])");
	if (!dialog) return;
	dialog.addEventListener("close", () => {
		dialog.remove();
		((opener && find(`#${opener}`)) || find("#actions button, #lasting button"))?.focus({ preventScroll: true });
	});
	dialog.showModal();
});
on("htmx:responseError htmx:sendError htmx:timeout", ({ detail: { requestConfig, elt, xhr } }) => {
	if (asks(elt) || requestConfig.verb !== "get") say(asks(elt) ? "not-asked" : "not-answered", xhr?.status ? `answered ${xhr.status}` : "did not answer");
});
on("animationend", ({ target }) => (target.matches("[data-leaves]") ? target.remove() : target.classList.remove("changed")));
on("click", ({ target }) => {
	target.closest("[data-dismiss]")?.closest(".toast").remove();
	if (target.id === "dialog") close(); // beside its form
	if (target.closest("[data-print]")) print();
	if (target.name === "notify") Notification.requestPermission();
	for (const menu of all("details.menu[open]")) if (!menu.contains(target) && !target.closest("dialog")) menu.open = false;
	const freeze = target.closest("[data-freeze]"), frozen = freeze && find(freeze.dataset.freeze).toggleAttribute("data-frozen");
	if (freeze) freeze.ariaPressed = frozen;
	if (frozen === false || target.id === "resort") poll();
});

// The card of one node among its pool's cells: by pointer, focus and arrow keys.
let cells = null, cell;

function card(from, at) {
	const nodes = from?.dataset.nodes.split(" ") || [], place = find("#card");
	at = Math.max(0, Math.min(nodes.length - 1, at));
	if (!place || (cells === from && cell === at)) return;
	[cells, cell, place.hidden] = [from, at, !from];
	if (!from) return;
	const { left, bottom } = from.getBoundingClientRect();
	place.style.cssText = `left:${Math.min(left + at * from.dataset.pitch, innerWidth - 320) + scrollX}px;top:${bottom + scrollY + 4}px`;
	htmx.ajax("GET", `/nodes/${nodes[at]}/card/`, place);
}

on("pointermove pointerdown focusin", ({ target, type, clientX }) => {
	const over = target.closest?.("[data-nodes]"), moved = type !== "focusin";
	if (!moved && over && !target.matches(":focus-visible")) return; // the pointer has said which
	if (target.closest?.("#card") || (moved && !over && cells?.matches(":focus"))) return;
	card(over, over && moved ? Math.floor((clientX - over.getBoundingClientRect().left) / over.dataset.pitch) : 0);
});

// Keys: / searches, Ctrl-K goes anywhere, ? lists the keys, arrows walk.
on("keydown", (event) => {
	const { key, target } = event, typing = target.matches("input, textarea, select"), held = event.ctrlKey || event.metaKey;
	const press = held ? key === "k" && find("#goto") : !typing && find({ "/": "main [data-search]", "?": "#keys" }[key] || "none");
	const walk = target.closest("[data-walk]"), step = { ArrowDown: 1, ArrowUp: -1 }[key], aside = { ArrowRight: 1, ArrowLeft: -1 }[key];
	if (press) press.focus(), press.click();
	else if (walk && step) {
		const stops = [...walk.querySelectorAll("[data-search], [data-stop]")];
		stops[stops.indexOf(target) + step]?.focus();
	} else if (cells === target && aside) card(cells, cell + aside);
	else if (cells === target && key === "Enter") location = `/nodes/${cells.dataset.nodes.split(" ")[cell]}/`;
	else return key === "Escape" && card(null, 0);
	event.preventDefault();
});
