-- Compare and set of the sessions of some users, each by itself. Who may be there is decided by gochat-core before the
-- call; several users in one call share what is not about one of them: a storm of registrations is half the work.
-- KEYS: the set of gateways, the log of arrivals, then of each user the hash and the time they were last online.
-- ARGV: 1 now in ms, 2 prefix of the gateways' indexes, 3 life of all but hashes in ms, 4 arrivals to keep, then of each
--   user: the user, version that was read ('' = no hash), new version, sessions ('' = forget), life of the hash in
--   ms, when last online in s ('' = leave), number of entries, and that many times: what, gateway, connection, moment
--   in ms. What: '+' a session that is there or was seen since, '-' one that is gone, '*' an arrival for the log. Sessions
--   that are as they were are not named.
-- Answers for each user how many entries left an index, or the hash as it is when somebody else was faster.
local now, prefix, life = ARGV[1], ARGV[2], ARGV[3]
local answers, seen_on, run = {}, {}, nil

local function arrive(user, gateway)
  if not run then
    -- Ids of the log are <run>-<number>: the numbers have no gap, and a log that was lost begins with a new run.
    local last = redis.call('XREVRANGE', KEYS[2], '+', '-', 'COUNT', 1)[1]
    if last then
      run = string.match(last[1], '^(%d+)-')
    else
      local time = redis.call('TIME')
      run = string.format('%.0f', time[1] * 1000000 + time[2])
    end
  end
  redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[4], run .. '-*', 'user', user, 'gateway', gateway, 'at', now)
end

local function enter(user, at, count, fields, gone)
  local left = 0
  for i = at, at + (count - 1) * 4, 4 do
    local what, gateway, conn, moment = ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3]
    local field, index, member = 't:' .. conn .. ':' .. gateway, prefix .. gateway, user .. ':' .. conn
    if what == '+' then
      fields[#fields + 1] = field
      fields[#fields + 1] = moment
      redis.call('ZADD', index, moment, member)
      seen_on[gateway] = true
    elseif what == '-' then
      gone[#gone + 1] = field
      left = left + redis.call('ZREM', index, member)
      if redis.call('EXISTS', index) == 0 then
        redis.call('SREM', KEYS[1], gateway)
        seen_on[gateway] = nil
      end
    else
      arrive(user, gateway)
    end
  end
  return left
end

local at = 5
for i = 3, #KEYS, 2 do
  local hash, user, count = KEYS[i], ARGV[at], tonumber(ARGV[at + 6])
  if (redis.call('HGET', hash, 'v') or '') ~= ARGV[at + 1] then
    answers[#answers + 1] = redis.call('HGETALL', hash)
  else
    local sessions, last_online = ARGV[at + 3], ARGV[at + 5]
    local fields, gone = { 'v', ARGV[at + 2], 'sessions', sessions }, {}
    answers[#answers + 1] = enter(user, at + 7, count, fields, gone)
    if sessions == '' then
      redis.call('DEL', hash)
    else
      if #gone > 0 then
        redis.call('HDEL', hash, unpack(gone))
      end
      redis.call('HSET', hash, unpack(fields))
      redis.call('PEXPIRE', hash, ARGV[at + 4])
    end
    if last_online ~= '' then
      redis.call('SET', KEYS[i + 1], last_online, 'PX', life)
    end
  end
  at = at + 7 + count * 4
end
for gateway in pairs(seen_on) do
  redis.call('PEXPIRE', prefix .. gateway, life)
  redis.call('SADD', KEYS[1], gateway)
end
if run then
  redis.call('PEXPIRE', KEYS[2], life)
end
redis.call('PEXPIRE', KEYS[1], life)
return answers
