// Proof of work, for servers that ask guests for one: a counter such that the SHA-256 of challenge, dot and counter
// begins with so many zero bits. The search pauses every 20 ms, so that the page stays alive, and ends once `alive`
// says no.
export const prover = (() => {
  const frac = x => (x - Math.floor(x)) * 2 ** 32 | 0, K = [], H = [];
  for (let n = 2; K.length < 64; n++) {
    let prime = true; for (let d = 2; d * d <= n; d++) if (n % d === 0) prime = false;
    if (prime) { if (H.length < 8) H.push(frac(Math.sqrt(n))); K.push(frac(Math.cbrt(n))); }
  }
  const W = new Int32Array(64), out = new Int32Array(8);
  function block(state) {
    for (let i = 16; i < 64; i++) {
      const x = W[i - 15], y = W[i - 2];
      W[i] = W[i - 16] + ((x >>> 7 | x << 25) ^ (x >>> 18 | x << 14) ^ x >>> 3) + W[i - 7] + ((y >>> 17 | y << 15) ^ (y >>> 19 | y << 13) ^ y >>> 10);
    }
    let [a, b, c, d, e, f, g, h] = state;
    for (let i = 0; i < 64; i++) {
      const t = h + ((e >>> 6 | e << 26) ^ (e >>> 11 | e << 21) ^ (e >>> 25 | e << 7)) + (e & f ^ ~e & g) + K[i] + W[i] | 0;
      const u = ((a >>> 2 | a << 30) ^ (a >>> 13 | a << 19) ^ (a >>> 22 | a << 10)) + (a & b ^ a & c ^ b & c) | 0;
      h = g; g = f; f = e; e = d + t | 0; d = c; c = b; b = a; a = t + u | 0;
    }
    out[0] = a + state[0]; out[1] = b + state[1]; out[2] = c + state[2]; out[3] = d + state[3];
    out[4] = e + state[4]; out[5] = f + state[5]; out[6] = g + state[6]; out[7] = h + state[7];
    return out;
  }
  const put = (text, from) => { for (let i = 0; i < text.length; i++) W[from + i >> 2] |= text.charCodeAt(i) << 24 - (from + i & 3) * 8; };
  return async (challenge, bits, alive) => {
    if (!/^[0-9a-f]{98}$/.test(challenge) || bits > 24) throw new Error('The server asks for a proof that this page does not know.');
    W.fill(0); put(challenge.slice(0, 64), 0); const begun = [...block(H)], rest = challenge.slice(64) + '.';
    for (let n = 0; alive(); await new Promise(go => setTimeout(go))) {
      for (const until = performance.now() + 20; performance.now() < until;) for (let i = 0; i < 500; i++, n++) {
        const text = rest + n; W.fill(0, 0, 16); put(text + '\x80', 0); W[15] = (64 + text.length) * 8;
        if (Math.clz32(block(begun)[0]) >= bits) return challenge + '.' + n;
      }
    }
    throw new Error('Stopped.');
  };
})();
