import { actionsFor, actOn, emojis, isAnyEmoji, toggle } from './actions.js';
import { $, button, el } from './dom.js';
import { Log } from './log.js';
import { currentLog } from './state.js';

// The menu of a message: a row of emoji, a field for any other, and what can be done.
let opened = null; // { id, at }: whose it is

const menuBox = () => $('menu');

export function openMenu(m, article, at) {
  const own = Log.reactionsOf(m).filter(r => r.mine).map(r => r.emoji);
  const act = work => () => { closeMenu(); const now = currentLog()?.find(m.id); if (now) work(now); };
  const emoji = e => button(e, { class: 'emoji', 'aria-label': 'React with ' + e, 'aria-pressed': String(own.includes(e)), onclick: act(now => toggle(now, e)) });
  const other = el('input', { 'aria-label': 'Another emoji', placeholder: 'Any emoji', maxLength: 40, autocomplete: 'off' });
  const reacting = [
    emojis().length > 0 && el('div', { class: 'emojis', role: 'group', 'aria-label': 'React' }, emojis().map(emoji)),
    isAnyEmoji() && el('form', { onsubmit: e => { e.preventDefault(); const typed = other.value.trim(); if (typed) act(now => toggle(now, typed))(); } }, other, el('button', {}, 'React')),
  ];
  const items = actionsFor(m).map(([what, words]) => button(words, { role: 'menuitem', 'data-act': what, onclick: act(now => actOn(what, now)) }));
  menuBox().replaceChildren(...reacting.filter(Boolean), el('div', { role: 'menu', 'aria-label': 'Actions' }, items));
  opened = { id: m.id };
  if (!menuBox().matches(':popover-open')) menuBox().showPopover();
  place(at);
  article.classList.add('chosen');
  menuBox().querySelector('button').focus({ preventScroll: true });
}
// Beside the place that was pointed at, inside of the window.
function place(at) {
  const { offsetWidth: width, offsetHeight: height } = menuBox(), gap = 6;
  const left = Math.min(Math.max(gap, at.left), innerWidth - width - gap);
  const below = at.bottom + gap, above = at.top - height - gap;
  const top = below + height < innerHeight ? below : above > 0 ? above : Math.max(gap, innerHeight - height - gap);
  menuBox().style.left = left + 'px';
  menuBox().style.top = top + 'px';
}
export function closeMenu(givesBackFocus = true) {
  if (!opened) return;
  const { id } = opened;
  opened = null;
  menuBox().hidePopover();
  document.querySelector('.msg.chosen')?.classList.remove('chosen');
  if (givesBackFocus) document.querySelector(`article[data-id="${CSS.escape(id)}"]`)?.focus({ preventScroll: true });
}
// The message may be gone or taken back meanwhile.
export function drawMenu() {
  if (!opened) return;
  const m = currentLog()?.find(opened.id);
  if (!m || m.deleted || m.hidden) closeMenu();
  else document.querySelector(`article[data-id="${CSS.escape(m.id)}"]`)?.classList.add('chosen');
}

function menuKey(e) {
  if (e.key === 'Escape') { e.preventDefault(); e.stopPropagation(); return closeMenu(); }
  const all = [...menuBox().querySelectorAll('button, input')], at = all.indexOf(e.target), isField = e.target.tagName === 'INPUT';
  const first = all.findIndex(node => node.getAttribute('role') === 'menuitem');
  const isEmoji = e.target.classList.contains('emoji');
  let to;
  if (e.key === 'ArrowDown') to = isEmoji || isField ? first : at + 1;
  else if (e.key === 'ArrowUp') to = at > first ? at - 1 : 0;
  else if (e.key === 'ArrowRight' && !isField) to = at + 1;
  else if (e.key === 'ArrowLeft' && !isField) to = at - 1;
  else if (e.key === 'Home' && !isField) to = 0;
  else if (e.key === 'End' && !isField) to = all.length - 1;
  else return;
  e.preventDefault();
  all[(to + all.length) % all.length].focus();
}
export function listenToMenu() {
  menuBox().addEventListener('keydown', menuKey);
  menuBox().addEventListener('focusout', e => { if (opened && e.relatedTarget && !menuBox().contains(e.relatedTarget)) closeMenu(false); });
  document.addEventListener('pointerdown', e => { if (opened && !menuBox().contains(e.target)) closeMenu(false); }, true);
  // A keyboard on the screen may resize the window, too.
  window.addEventListener('resize', () => { if (document.activeElement.tagName !== 'INPUT') closeMenu(); });
  window.addEventListener('blur', () => closeMenu(false));
}
