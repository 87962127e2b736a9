// Making and finding elements. Texts of users only ever become text nodes; the policy of the page (Trusted Types)
// refuses anything else.
export const $ = id => document.getElementById(id);

// An element: `on…` are listeners, `class` and names with a dash are attributes, everything else is a property.
// Children that are text become text nodes, absent ones (null, false) are left out.
export function el(tag, props = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (value === undefined || value === null) continue;
    if (name.startsWith('on')) node.addEventListener(name.slice(2), value);
    else if (name === 'class' || name === 'role' || name.includes('-')) node.setAttribute(name, value);
    else node[name] = value;
  }
  node.append(...children.flat().filter(child => child !== null && child !== undefined && child !== false));
  return node;
}

// A button that submits nothing.
export const button = (text, props = {}, ...children) => el('button', { type: 'button', ...props }, text, ...children);

// Shows these nodes, in this order, as the children of a box. Nodes that stay aren't taken out, so they keep the focus.
export function arrange(box, nodes) {
  const wanted = new Set(nodes);
  for (const child of [...box.childNodes]) if (!wanted.has(child)) child.remove();
  let at = box.firstChild;
  for (const node of nodes) {
    if (node === at) at = at.nextSibling;
    else box.insertBefore(node, at);
  }
}

export const uuid = () => crypto.randomUUID?.() || Date.now() + '-' + Math.random();
export const pause = ms => new Promise(go => setTimeout(go, ms));

// How long to wait until what failed so often is tried again.
const WAITS = [1, 2, 4, 8, 15, 30];
export const waitAfter = failures => WAITS[Math.min(failures, WAITS.length - 1)] * 1000;

// A sentence at the edge of the page, for some seconds.
let toastEnds = 0;
export function toast(said) {
  $('toast').textContent = said.message || said;
  $('toast').hidden = false;
  clearTimeout(toastEnds);
  toastEnds = setTimeout(() => { $('toast').hidden = true; }, 6000);
}

// Tells people who don't see the page.
export const announce = sentence => { $('live').textContent = sentence; };

const clock = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit' });
const calendar = new Intl.DateTimeFormat(undefined, { weekday: 'short', day: 'numeric', month: 'long' });
const calendarWithYear = new Intl.DateTimeFormat(undefined, { day: 'numeric', month: 'long', year: 'numeric' });
export const timeOf = seconds => clock.format(seconds * 1000);
export const fullTimeOf = seconds => new Date(seconds * 1000).toLocaleString();
export function dayOf(seconds) {
  const day = new Date(seconds * 1000), today = new Date(), yesterday = new Date();
  yesterday.setDate(today.getDate() - 1);
  if (day.toDateString() === today.toDateString()) return 'Today';
  if (day.toDateString() === yesterday.toDateString()) return 'Yesterday';
  return (day.getFullYear() === today.getFullYear() ? calendar : calendarWithYear).format(day);
}

// A circle with the first letter of a name, in a colour that belongs to the id.
export function avatar(name, id) {
  let hue = 0;
  for (const c of id || name) hue = (hue * 31 + c.codePointAt(0)) % 360;
  const circle = el('span', { class: 'avatar', 'aria-hidden': 'true' }, [...name][0]?.toUpperCase() || '?');
  circle.style.setProperty('--hue', hue);
  return circle;
}
