-- Compare and set of the sessions of one user. Who may be there is decided by gochat-core before the call.
-- KEYS: the user's hash, the time they were last online, the set of gateways, the log of arrivals.
-- ARGV: 1 version that was read ('' = no hash), 2 new version, 3 sessions ('' = forget), 4 life of the hash in ms,
--   5 when last online in s ('' = leave), 6 prefix of the gateways' indexes, 7 life of all else in ms, 8 arrivals to
--   keep, 9 user, then quadruples: what, gateway, connection, moment in ms. What: '+' a session that is there and goes
--   into its index, '=' one whose entry stands (every session is one or the other), '-' one that is gone, '*' an arrival for the log.
-- Answers how many entries left an index, or the hash as it is when somebody else was faster.
if (redis.call('HGET', KEYS[1], 'v') or '') ~= ARGV[1] then
  return redis.call('HGETALL', KEYS[1])
end
local user, fields, left = ARGV[9], {}, 0

local function arrive(gateway, at)
  -- Ids of the log are <run>-<number>: the numbers have no gap, and a log that was lost begins with a new run.
  local last = redis.call('XREVRANGE', KEYS[4], '+', '-', 'COUNT', 1)[1]
  local run
  if last then
    run = string.match(last[1], '^(%d+)-')
  else
    local time = redis.call('TIME')
    run = string.format('%.0f', time[1] * 1000000 + time[2])
  end
  redis.call('XADD', KEYS[4], 'MAXLEN', '~', ARGV[8], run .. '-*', 'user', user, 'gateway', gateway, 'at', at)
  redis.call('PEXPIRE', KEYS[4], ARGV[7])
end

for i = 10, #ARGV, 4 do
  local what, gateway, conn, moment = ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3]
  local index, member = ARGV[6] .. gateway, user .. ':' .. conn
  if what == '+' or what == '=' then
    fields[#fields + 1] = 't:' .. conn .. ':' .. gateway
    fields[#fields + 1] = moment
  end
  if what == '+' then
    redis.call('ZADD', index, moment, member)
    redis.call('PEXPIRE', index, ARGV[7])
    redis.call('SADD', KEYS[3], gateway)
  elseif what == '-' then
    left = left + redis.call('ZREM', index, member)
    if redis.call('EXISTS', index) == 0 then
      redis.call('SREM', KEYS[3], gateway)
    end
  elseif what == '*' then
    arrive(gateway, moment)
  end
end
-- Whole anew: the caller named every session there is.
redis.call('DEL', KEYS[1])
if ARGV[3] ~= '' then
  redis.call('HSET', KEYS[1], 'v', ARGV[2], 'sessions', ARGV[3], unpack(fields))
  redis.call('PEXPIRE', KEYS[1], ARGV[4])
end
if ARGV[5] ~= '' then
  redis.call('SET', KEYS[2], ARGV[5], 'PX', ARGV[7])
end
redis.call('PEXPIRE', KEYS[3], ARGV[7])
return left
