-- Signs of life of many sessions: the greater moment wins, as in gochat-core (presence::Sessions::heartbeat).
-- KEYS: the set of gateways, then the hash of each user.
-- ARGV: 1 now in ms, 2 new version, 3 life of a hash in ms, 4 prefix of the gateways' indexes, 5 life of an index in
--   ms, then triples: user, gateway, connection ('' = all on that gateway). Answers 1 for each known session.
local now, answers, seen_on = tonumber(ARGV[1]), {}, {}

local function connections(hash, gateway, conn)
  if conn ~= '' then
    return { conn }
  end
  local found = {}
  for _, field in ipairs(redis.call('HKEYS', hash)) do
    local id, at = string.match(field, '^t:(%d+):(.*)$')
    if at == gateway then
      found[#found + 1] = id
    end
  end
  return found
end

for i = 2, #KEYS do
  local hash, at = KEYS[i], 6 + (i - 2) * 3
  local user, gateway = ARGV[at], ARGV[at + 1]
  answers[i - 1] = 0
  for _, conn in ipairs(connections(hash, gateway, ARGV[at + 2])) do
    local field = 't:' .. conn .. ':' .. gateway
    local seen = redis.call('HGET', hash, field)
    if seen then
      answers[i - 1] = 1
      if now > tonumber(seen) then
        seen = ARGV[1]
        redis.call('HSET', hash, field, seen, 'v', ARGV[2])
      end
      -- Also when nothing changed: an index that was evicted comes back this way.
      redis.call('ZADD', ARGV[4] .. gateway, seen, user .. ':' .. conn)
      seen_on[gateway] = true
    end
  end
  if answers[i - 1] == 1 then
    redis.call('PEXPIRE', hash, ARGV[3])
  end
end
for gateway in pairs(seen_on) do
  redis.call('PEXPIRE', ARGV[4] .. gateway, ARGV[5])
  redis.call('SADD', KEYS[1], gateway)
  redis.call('PEXPIRE', KEYS[1], ARGV[5])
end
return answers
