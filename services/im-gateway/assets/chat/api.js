import { pause, uuid } from './dom.js';

// The session, and requests in its name.
const LONGEST_MS = 60000;
const REFRESH_MS = 15000; // the server repeats the answer to a refresh for a minute
const SIGNED_OUT = ['INVALID_TOKEN', 'TOKEN_EXPIRED', 'USER_DISABLED'];
export let session = JSON.parse(sessionStorage.getItem('gochat') || 'null');
export function enter(entered) {
  session = entered;
  keep();
}
export function leave() {
  sessionStorage.removeItem('gochat');
  history.replaceState(null, '', location.pathname);
  session = null;
  location.reload();
}
// Another window of the same device took over: its refreshes count, and ours would end the session.
export let isRetired = false;
export const retire = retired => { isRetired = retired; };
const keep = () => sessionStorage.setItem('gochat', JSON.stringify(session));

export async function api(method, path, body, again = true) {
  const headers = { 'content-type': 'application/json' };
  if (session) headers.authorization = 'Bearer ' + session.accessToken;
  const answer = await fetch('/api' + path, { method, headers, body: body && JSON.stringify(body), signal: AbortSignal.timeout(LONGEST_MS) });
  const reply = await answer.json().catch(() => ({}));
  if (reply.code === 'TOKEN_EXPIRED' && again && await refresh()) return api(method, path, body, false);
  if (reply.success) return reply.data || {};
  const refusal = new Error(reply.message || 'The server did not answer.');
  throw Object.assign(refusal, { code: reply.code, status: answer.status, ...reply.details });
}

// Requests that find the token expired share one refresh.
let refreshing = null;
export async function refresh() {
  if (isRetired || !session) return false;
  refreshing ??= renew().finally(() => { refreshing = null; });
  return refreshing;
}
// Windows that were duplicated share a session. What one of them is given is told to the others.
const siblings = new BroadcastChannel('gochat');
siblings.onmessage = ({ data }) => {
  if (session?.refreshToken !== data.used) return;
  Object.assign(session, data.tokens);
  keep();
};
async function renew() {
  const used = session.refreshToken, how = { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ refreshToken: used }) };
  // A server that is busy or away says nothing about the session, and what stands between may answer anything.
  const reply = await fetch('/api/auth/refresh', { ...how, signal: AbortSignal.timeout(REFRESH_MS) }).then(answer => answer.json()).catch(() => null);
  if (!session) return false;
  if (session.refreshToken !== used) return true;
  if (SIGNED_OUT.includes(reply?.code)) leave();
  if (!reply?.data?.accessToken || !reply.data.refreshToken) return false;
  Object.assign(session, reply.data);
  keep();
  siblings.postMessage({ used, tokens: reply.data });
  return true;
}

// A request that has effect once: it is sent again under its id while the outcome is unknown.
export async function once(method, path, body) {
  const id = uuid();
  for (let tries = 1; ; tries++) {
    const how = { client_msg_id: id, resend: tries > 1 };
    const query = body ? '' : '?' + new URLSearchParams(how);
    try {
      return await api(method, path + query, body && { ...body, ...how });
    } catch (e) {
      const mayPass = e.retryable ?? (e.status === undefined || e.status >= 500);
      if (!mayPass || tries === 4 || e.retryAfter > 10) throw e;
      await pause(Math.max(500 * 2 ** tries, (e.retryAfter || 0) * 1000));
    }
  }
}
