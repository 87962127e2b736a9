// A server with a conversation, and a page on a network that loses, doubles and reorders what is pushed. Whatever
// happened: once the page has caught up, it shows what the server holds.
const ME = '1', EMOJI = ['👍', '🎉', '🦜'];

// Mulberry32.
function generator(seed) {
  return below => {
    seed = seed + 0x6d2b79f5 | 0;
    let t = Math.imul(seed ^ seed >>> 15, 1 | seed);
    t = t + Math.imul(t ^ t >>> 7, 61 | t) ^ t;
    return ((t ^ t >>> 14) >>> 0) % below;
  };
}

class World {
  messages = [];
  rev = 0;
  pushes = [];
  hidden = new Set();
  clearedUpTo = 0;
  constructor(random) { this.random = random; }

  act() {
    const { random } = this, m = this.messages[random(this.messages.length || 1)], author = String(1 + random(3));
    const rev = ++this.rev;
    if (!m || random(4) === 0) {
      const content = 'text ' + rev, id = String(1000 + rev), replied = m && random(2) ? m : null;
      this.messages.push({ id, seqId: this.messages.length + 1, senderId: author, content, rev, likes: {}, replied, editCount: 0, deleted: false, pinned: false });
      this.pushes.push({ revs: [rev], message: this.view(this.messages.at(-1)) });
      return;
    }
    m.rev = rev;
    const push = { messageId: m.id, seqId: m.seqId, rev, operatorId: author, message: { id: m.id, senderId: m.senderId, deleted: false, editCount: m.editCount } };
    const kind = m.deleted ? 'nothing' : ['edited', 'reaction', 'reaction', 'reaction', 'pinned', 'recalled'][random(6)];
    if (kind === 'edited') Object.assign(push.message, { content: m.content = 'edited ' + rev, editedAt: m.editedAt = rev, editCount: ++m.editCount });
    if (kind === 'pinned') push.message.pinned = m.pinned = !m.pinned;
    if (kind === 'recalled') {
      Object.assign(m, { deleted: true, content: '', likes: {}, pinned: false, replied: null });
      Object.assign(push.message, { deleted: true, content: '' });
    }
    if (kind === 'reaction') {
      const emoji = EMOJI[random(3)], users = m.likes[emoji] ??= new Set(), removed = users.has(author);
      removed ? users.delete(author) : users.add(author);
      if (!users.size) delete m.likes[emoji];
      Object.assign(push, { emoji, removed });
      push.message.reactions = Object.entries(m.likes).map(([e, who]) => ({ emoji: e, count: who.size }));
    }
    push.kind = kind === 'pinned' && !m.pinned ? 'unpinned' : kind;
    this.pushes.push({ revs: [rev], change: push });
  }

  // The user deletes a message for themselves, or clears the conversation.
  hide(log) {
    const { random } = this, m = this.messages[random(this.messages.length || 1)];
    if (!m) return;
    if (random(4) === 0) log.clear(this.clearedUpTo = Math.max(this.clearedUpTo, m.seqId - 20));
    else { this.hidden.add(m); log.hide(m.id); }
  }

  get seen() { return this.messages.filter(m => m.seqId > this.clearedUpTo); }

  // A message as the server answers it.
  view(m) {
    if (this.hidden.has(m)) return { id: m.id, seqId: m.seqId, senderId: m.senderId, messageType: 1, content: '', rev: m.rev, editCount: m.editCount, editedAt: m.editedAt, deleted: m.deleted, hidden: true };
    const isCleared = m.replied?.seqId <= this.clearedUpTo, isGone = m.replied && (this.hidden.has(m.replied) || isCleared);
    const replyTo = m.replied && { messageId: m.replied.id, seqId: m.replied.seqId, senderId: m.replied.senderId, messageType: 1, excerpt: isGone ? '' : m.replied.content, state: isCleared ? 'normal' : m.replied.deleted ? 'recalled' : m.replied.editCount ? 'edited' : 'normal' };
    const reactions = Object.entries(m.likes).map(([emoji, who]) => ({ emoji, count: who.size, mine: who.has(ME) }));
    return { id: m.id, seqId: m.seqId, senderId: m.senderId, messageType: 1, content: m.content, rev: m.rev, editCount: m.editCount, editedAt: m.editedAt, deleted: m.deleted, pinned: m.pinned, reactions, replyTo: replyTo || undefined };
  }
}

// What a page shows, in one text.
const shown = m => JSON.stringify([m.id, m.content, !!m.hidden, !!m.deleted, m.deleted ? 0 : m.editCount || 0, !!m.pinned, (m.reactions || []).map(r => [r.emoji, r.count, !!r.mine]), m.replyTo && [m.replyTo.messageId, m.replyTo.excerpt, m.replyTo.state]]);

function page(seed) {
  const random = generator(seed), world = new World(random), log = new Log('g_1');
  for (let i = random(40); i > 0; i--) world.act();
  const limit = 1 + random(20), newest = world.messages.slice(-limit);
  log.show(newest.map(m => world.view(m)), { atStart: newest.length === world.messages.length, atEnd: true, rev: world.rev });
  const late = [];
  for (let i = 0; i < 120; i++) {
    const from = world.pushes.length;
    world.act();
    for (const push of world.pushes.slice(from)) {
      if (random(5) === 0) continue;
      late.push(push);
      if (random(5) === 0) late.push(push);
    }
    while (late.length > random(4)) deliver(log, late.splice(random(late.length), 1)[0]);
    if (random(15) === 0) catchUp(log, world, random);
    if (random(20) === 0) world.hide(log);
  }
  for (const push of late) deliver(log, push);
  // The list of conversations tells how far there is.
  if (log.rev < world.rev) catchUp(log, world, random);
  if (log.rev !== world.rev || log.isMissing) throw new Error(`seed ${seed}: ${log.rev} of ${world.rev}`);
  const right = (log.messages.length ? world.seen.slice(-log.messages.length) : []).map(m => shown(world.view(m)));
  const has = log.messages.map(m => shown({ ...m, reactions: Log.reactionsOf(m) }));
  for (let i = 0; i < right.length; i++) if (right[i] !== has[i]) throw new Error(`seed ${seed}:\n${has[i]}\ninstead of\n${right[i]}`);
  if (has.length < Math.min(newest.length, world.seen.length)) throw new Error(`seed ${seed}: messages were lost`);
}
function deliver(log, { revs, message, change }) {
  if (message) log.take(message);
  else if (change.kind !== 'nothing' && !log.change(change, ME)) return;
  log.note(...revs);
}
// Pages of what changed, as the server answers them; more may change between two pages.
function catchUp(log, world, random) {
  for (;;) {
    const fresh = world.seen.filter(m => m.rev > log.rev).sort((a, b) => a.rev - b.rev), answer = fresh.slice(0, 1 + random(4));
    const isLast = answer.length === fresh.length, completeTo = isLast ? world.rev : answer.at(-1).rev;
    answer.forEach(m => log.take(world.view(m)));
    log.reached(completeTo, isLast);
    if (isLast) return;
    if (random(3) === 0) world.act();
  }
}

for (let seed = 1; seed <= 300; seed++) page(seed);
console.log('300 pages are right');
