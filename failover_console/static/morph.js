// Changes an element into a newer one, touching only what differs: focus, selection and typed text stay.  Children are known by
// id, else by place; what people change is theirs.  Ours, since no Python package ships idiomorph.
const THEIRS = { DETAILS: ["open"], DIALOG: ["open"], INPUT: ["value", "checked"], OPTION: ["selected"] };
const alike = (a, b) => a.nodeName === b.nodeName && a.id === b.id;

function attributes(from, to) {
	const given = /hidden|checkbox/.test(from.type); // a value that nobody types
	const free = ({ name }) => !THEIRS[from.nodeName]?.includes(name) || (given && name === "value");
	for (const { name } of [...from.attributes].filter(free)) if (!to.hasAttribute(name)) from.removeAttribute(name);
	for (const { name, value } of [...to.attributes].filter(free)) if (from.getAttribute(name) !== value) from.setAttribute(name, value);
}

function children(from, to) {
	const ids = (parent) => new Map([...parent.children].filter((each) => each.id).map((each) => [each.id, each]));
	const wanted = ids(to), known = ids(from), stays = (node) => node.id && wanted.has(node.id);
	let at = from.firstChild;
	const drop = (until) => {
		while (at && at !== until && !(until && stays(at))) [at] = [at.nextSibling, at.remove()];
	};
	for (const next of [...to.childNodes]) {
		let match = next.id ? known.get(next.id) : at;
		while (match && next.nodeType === 1 && !next.id && (stays(match) || !alike(match, next))) match = match.nextSibling;
		if (match?.nodeName !== next.nodeName) {
			from.insertBefore(next, at);
			continue;
		}
		drop(match);
		if (at !== match) from.moveBefore ? from.moveBefore(match, at) : from.insertBefore(match, at); // the first keeps the focus
		one(match, next);
		at = match.nextSibling;
	}
	drop(null);
}

function one(from, to) {
	if (from.nodeType !== 1) return from.nodeValue === to.nodeValue || (from.nodeValue = to.nodeValue);
	if (from.isEqualNode(to) || (from.dateTime && from.dateTime === to.dateTime)) return; // the text of a time is the script's
	if (from.dataset.mark !== to.dataset.mark) from.classList.add("changed"), (to.className += " changed");
	const turned = from.getAttribute("ws-connect") !== to.getAttribute("ws-connect");
	attributes(from, to);
	if (turned) htmx.trigger(from, "htmx:beforeProcessNode"); // opens a socket for the other topic
	if (from.nodeName !== "TEXTAREA") children(from, to);
}

// Does `change` to the page, and puts the selection and the focus back where they were.
window.keeping = (change) => {
	const focused = document.activeElement, marked = getSelection();
	const { anchorNode: a, anchorOffset: i, focusNode: b, focusOffset: j, isCollapsed } = marked;
	change();
	const within = (node, offset) => Math.min(offset, node.length ?? node.childNodes.length);
	const moved = marked.anchorNode !== a || marked.focusNode !== b || marked.anchorOffset !== i || marked.focusOffset !== j;
	if (!isCollapsed && moved && a.isConnected && b.isConnected) marked.setBaseAndExtent(a, within(a, i), b, within(b, j));
	if (focused === document.body || document.activeElement === focused) return;
	(focused.isConnected ? focused : document.getElementById(focused.id))?.focus?.({ preventScroll: true });
};

window.morph = (from, to) => {
	const had = from.contains(document.activeElement);
	keeping(() => (alike(from, to) ? one(from, to) : from.replaceWith(to)));
	htmx.process(htmx.find(`#${to.id}`) || document.body);
	for (const field of from.querySelectorAll("[data-value]:not(:focus)")) field.value = field.dataset.value; // chosen elsewhere
	// What had the focus is gone: whoever works with the keys goes on beside it.
	if (had && document.activeElement === document.body) from.querySelector("a[href], button:enabled, input, summary")?.focus({ preventScroll: true });
};

// A sorted list keeps its order while somebody points at it or has the focus in it, until they have been still for a while.
const STILL = 10000; // ms
let moved, later;
for (const type of ["pointermove", "keydown"]) htmx.on(type, () => (moved = Date.now()));

function keepOrder(old, fresh) {
	const place = [...old.children].map((each) => each.id), by = ({ id }) => place.indexOf(id) >>> 0; // new ones last
	const kept = [...fresh.children].sort((a, b) => by(a) - by(b)), note = htmx.find("#resort");
	if (note) note.hidden = kept.every((each, at) => each === fresh.children[at]);
	fresh.append(...kept);
	clearTimeout(later);
	later = setTimeout(() => htmx.trigger("#live", "poll"), STILL);
}

// Fragments of the socket and of the polled page come the same way; a tab that nobody sees takes only what it says by itself.
document.addEventListener("htmx:oobBeforeSwap", ({ detail }) => {
	const old = detail.target, fresh = detail.fragment.firstElementChild;
	if (!fresh) return;
	detail.shouldSwap = false;
	if (old.matches("[data-frozen]") || (document.hidden && !old.matches("#headline, #foot-figures"))) return;
	if (old.matches("[data-sorted]:is(:hover, :focus-within)") && Date.now() - moved < STILL) keepOrder(old, fresh);
	else if (old.matches("[data-sorted]") && htmx.find("#resort")) htmx.find("#resort").hidden = true;
	morph(old, fresh);
});
