// Charts: pointer and arrow keys walk over data-points, [[x, y or null, time, line, ...], ...] with x and y in thousandths;
// a link with data-png saves the SVG that it points to as a picture of that name.
const tip = Object.assign(document.createElement("div"), { className: "tip", role: "status", hidden: true, innerHTML: "<p><b></b><span></span></p>" });
document.body.append(tip);
const [when, what] = tip.firstChild.children;
const listen = (types, act, late) => types.split(" ").forEach((type) => document.addEventListener(type, act, late));
let stop = 0;

listen("pointermove pointerdown keydown focusin", (event) => {
	const { key, type, target, clientX, clientY } = event, chart = target.closest("[data-points]");
	if (type === "focusin" && chart && !target.matches(":focus-visible")) return; // the pointer has said which
	tip.hidden = !chart || key === "Escape";
	if (tip.hidden) return;
	const points = JSON.parse(chart.dataset.points), box = chart.getBoundingClientRect();
	const left = ([x]) => box.left + (box.width * x) / 1000, top = ([, y]) => box.top + (box.height * y) / 1000;
	const row = points.filter(([, y]) => y === 0).length;
	const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -row, ArrowDown: row }[key];
	if (step) event.preventDefault();
	if (event.pointerType) stop = points.findLastIndex((each) => left(each) <= clientX && top(each) <= clientY);
	else stop = key ? stop + (step || 0) : points.length;
	stop = Math.max(0, Math.min(points.length - 1, stop));
	const [x, y, time, ...lines] = points[stop];
	when.dataset.at = time;
	when.textContent = time;
	what.textContent = lines.join("\n");
	window.localise?.();
	tip.style.cssText = `left:${left(points[stop])}px;top:${top(points[stop])}px;height:${y === null ? box.height : 0}px`;
	tip.classList.toggle("left", x > 500);
});
listen("focusout scroll", () => (tip.hidden = true), true);
listen("click", (event) => {
	const link = event.target.closest("[data-png]");
	if (!link) return;
	event.preventDefault();
	const image = new Image(), canvas = document.createElement("canvas"), saved = document.createElement("a");
	image.onload = () => {
		[canvas.width, canvas.height] = [image.width * 2, image.height * 2];
		canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
		Object.assign(saved, { href: canvas.toDataURL(), download: link.dataset.png }).click();
	};
	image.src = link.href;
});
