import { $, button, el, toast } from './dom.js';

// Opens the one dialog of the page; closing it leaves nothing behind. The browser keeps the focus inside and gives it
// back afterwards.
export function openDialog(title, ...content) {
  const box = $('dialog');
  if (box.open) box.close();
  box.replaceChildren(
    el('header', {}, el('h2', { id: 'dialog-title' }, title), button('✕', { class: 'plain', 'aria-label': 'Close', onclick: closeDialog })),
    ...content, el('p', { id: 'failed', class: 'refusal', role: 'alert' }));
  box.showModal();
  box.querySelector('[autofocus]')?.focus();
}
// What went wrong in an open dialog is said in it: it covers the rest of the page.
export function fail(said) {
  if ($('dialog').open) $('failed').textContent = said.message || said;
  else toast(said);
}
export const closeDialog = () => $('dialog').close();

export function listenToDialog() {
  $('dialog').addEventListener('click', e => { if (e.target === $('dialog')) closeDialog(); });
  // The end of a dialog is told when another one may be open.
  $('dialog').addEventListener('close', () => { if (!$('dialog').open) $('dialog').replaceChildren(); });
}
