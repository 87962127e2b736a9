import { api } from './api.js';
import { pin } from './actions.js';
import { closeDialog, fail, openDialog } from './dialog.js';
import { $, button, el, fullTimeOf, toast } from './dom.js';
import { jumpTo } from './messages.js';
import { conversations, current, currentLog, isMe, mayPin, nameOf, remember, titleOf, view } from './state.js';
import { typing } from './socket.js';
import { address } from './list.js';
import { clearChat } from './sync.js';
import { summary } from './text.js';

// The head of the open conversation, its pins, and ways to begin another one.
export function drawHead() {
  const c = current(), now = Date.now();
  $('chat').classList.toggle('none', !c);
  if (!c) return;
  for (const [who, until] of typing) if (until < now) typing.delete(who);
  const about = typing.size ? [...typing.keys()].join(', ') + (typing.size > 1 ? ' are' : ' is') + ' typing…' : c.type === 2 ? c.memberCount + ' members' : c.type === 3 ? 'Everybody is here' : '';
  if ($('title').textContent !== titleOf(c)) $('title').textContent = titleOf(c);
  if ($('about').textContent !== about) $('about').textContent = about;
  $('about').classList.toggle('typing', typing.size > 0);
  $('pins').hidden = !c.pinnedCount;
  $('pins').textContent = '📌 ' + c.pinnedCount;
  $('pins').setAttribute('aria-label', `${c.pinnedCount} pinned messages`);
}

async function showPins() {
  const c = current(), { pins } = await api('GET', `/conversations/${encodeURIComponent(c.id)}/pins?at_least=${c.lastRev || 0}`);
  pins.forEach(m => remember(m.sender));
  const list = el('ul', { class: 'plain' }, pins.map(m => pinned(m, c)));
  openDialog('Pinned messages', pins.length ? list : el('p', {}, 'Nothing is pinned.'));
}
function pinned(m, c) {
  const jump = button(el('span', { class: 'two' },
    el('small', {}, el('bdi', {}, isMe(m.senderId) ? 'You' : nameOf(m.senderId) || ''), ' · ' + fullTimeOf(m.createdAt)),
    el('span', { class: 'preview', dir: 'auto' }, summary(m))), { class: 'row', title: 'Go to the message', onclick: () => { closeDialog(); jumpTo(m.seqId).catch(toast); } });
  const off = async e => { await pin(m, false); e.target.closest('li').remove(); };
  return el('li', {}, jump, mayPin(c) && button('Unpin', { onclick: e => off(e).catch(fail) }));
}

// For this user alone; the others keep their messages.
function askToClear() {
  const c = current(), upTo = Math.max(c.lastSeqId || 0, currentLog()?.last || 0), clear = button('Clear', { class: 'primary', onclick: () => { clear.disabled = true; clearChat(c.id, upTo).then(closeDialog).catch(fail).finally(() => { clear.disabled = false; }); } });
  openDialog('Clear this chat?', el('p', {}, 'All messages of ', el('bdi', {}, titleOf(c)), ' go for you, on all your devices. The others keep theirs.'),
    el('div', { class: 'choices' }, clear, button('Cancel', { autofocus: true, onclick: closeDialog })));
}

// Usernames are found exactly, whatever else begins like them.
async function idOf(name) {
  const { users } = await api('GET', '/users/search?q=' + encodeURIComponent(name));
  const found = users.find(u => u.username === name);
  if (!found) throw new Error(`There is no user "${name}".`);
  return found.id;
}
function newGroup() {
  const name = el('input', { required: true, autofocus: true, maxLength: 100, autocomplete: 'off' });
  const members = el('input', { placeholder: 'anna, ben', autocomplete: 'off' });
  const create = el('button', { class: 'primary' }, 'Create');
  const make = async () => {
    create.disabled = true;
    fail('');
    const names = members.value.split(',').map(n => n.trim()).filter(Boolean);
    const c = await api('POST', '/conversations', { type: 2, name: name.value.trim(), members: await Promise.all(names.map(idOf)) });
    conversations.set(c.id, { ...c });
    if (create.isConnected) closeDialog();
    location.hash = address(c.id);
  };
  openDialog('New group', el('form', { class: 'fields', onsubmit: e => { e.preventDefault(); make().catch(fail).finally(() => { create.disabled = false; }); } },
    el('label', {}, 'Name', name), el('label', {}, 'Usernames of members, separated by commas', members), create));
}

let searches = 0;
async function find() {
  const wanted = $('find').value.trim(), mine = ++searches;
  const { users } = wanted ? await api('GET', '/users/search?q=' + encodeURIComponent(wanted)).catch(() => ({ users: [] })) : { users: [] };
  if (mine !== searches) return;
  $('found').replaceChildren(...users.map(u => button(el('bdi', { class: 'title' }, u.username), { class: 'row', onclick: () => chatWith(u).catch(toast) })));
}
async function chatWith(user) {
  remember(user);
  const c = await api('POST', '/conversations', { type: 1, members: [user.id] });
  conversations.set(c.id, { ...conversations.get(c.id), ...c });
  $('find').value = '';
  $('found').replaceChildren();
  location.hash = address(c.id);
}

export function listenToHead() {
  $('pins').addEventListener('click', () => showPins().catch(toast));
  $('clear').addEventListener('click', askToClear);
  $('back').addEventListener('click', () => { location.hash = ''; });
  $('newgroup').addEventListener('click', newGroup);
  $('find').addEventListener('input', find);
  setInterval(() => { if (typing.size && view.current) drawHead(); }, 1000);
}
