import { isMe, nameOf } from './state.js';

// What happened to a group, in words. The server tells it as JSON with a `kind`, so that every client words it itself.
const NAMED_MAX = 3; // users whose names stand in a sentence
const CAME = { open: 'joined', link: 'joined by an invitation link', invitation: 'accepted an invitation' };

function contentOf(m) {
  try {
    return JSON.parse(m.content) || {};
  } catch {
    return {};
  }
}
const personOf = id => (isMe(id) ? 'you' : nameOf(id) || 'somebody');
function whom({ users = [], count = users.length }) {
  const named = users.slice(0, NAMED_MAX).map(personOf), more = count - named.length;
  if (more > 0) named.push(`${more} ${more === 1 ? 'other' : 'others'}`);
  return named.length > 1 ? `${named.slice(0, -1).join(', ')} and ${named.at(-1)}` : named[0] || 'nobody';
}
const moment = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'short' });
const until = ({ until: end }) => (end ? ' until ' + moment.format(end * 1000) : '');
const roleOf = ({ role }) => (role === 'admin' ? 'an admin' : 'a member');

// One sentence; kinds that this page doesn't know are told in general.
export function sentence(m) {
  const s = contentOf(m), by = isMe(m.senderId) ? 'You' : m.sender?.username || nameOf(m.senderId) || 'Somebody';
  const words = {
    created: () => `made the group “${s.title}”` + (s.count ? ` with ${whom(s)}` : ''),
    joined: () => CAME[s.how] || (s.how === 'request' ? `let ${whom(s)} in` : `added ${whom(s)}`),
    left: () => 'left',
    removed: () => `removed ${whom(s)}`,
    renamed: () => `named the group “${s.title}”`,
    avatar: () => (s.removed ? 'removed the picture' : 'changed the picture'),
    announcement: () => (s.removed ? 'removed the announcement' : 'wrote an announcement'),
    role: () => `made ${personOf(s.user)} ${roleOf(s)}`,
    owner: () => `made ${personOf(s.user)} the owner`,
    muted: () => `muted ${s.user ? personOf(s.user) : 'everybody but the admins'}${until(s)}`,
    unmuted: () => `let ${s.user ? personOf(s.user) : 'everybody'} write again`,
    settings: () => 'changed the settings',
    pinned: () => 'pinned a message',
  };
  return `${by} ${Object.hasOwn(words, s.kind) ? words[s.kind]() : 'changed something'}`;
}

// Users whose names a sentence may depend on.
export function usersOf(m) {
  const { users = [], user } = contentOf(m);
  return [user, ...users.slice(0, NAMED_MAX)];
}
