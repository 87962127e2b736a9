// What a test does to the connection of a page: `network.away` keeps it from connecting, `network.deaf` drops what
// comes in and counts it, `network.cut()` ends the connection, `network.failing` is how many reads fail from now on.
window.network = { away: false, deaf: false, missed: 0, failing: 0, sockets: [], cut() { this.sockets.forEach(socket => socket.close()); } };
window.WebSocket = class extends WebSocket {
  constructor(url, protocols) {
    super(network.away ? url.replace('/ws?', '/nowhere?') : url, protocols);
    network.sockets.push(this);
  }
  set onmessage(listen) {
    super.onmessage = event => { if (network.deaf) network.missed++; else listen(event); };
  }
};
window.fetch = (reach => async (url, how) => {
  if (network.failing > 0 && how.method === 'GET' && url.startsWith('/api/conversations')) {
    network.failing--;
    throw new TypeError('This read fails.');
  }
  return reach(url, how);
})(window.fetch);
