-- KEYS: n keys, then the n token keys that belong to them.
-- ARGV[1]: life of a token in ms; ARGV[2..n+1]: a fresh random token for each key.
-- Answers the values and, for those that are missing, the token that permits to fill.
local n = #KEYS / 2
local values = redis.call('MGET', unpack(KEYS, 1, n))
local tokens = {}
for i = 1, n do
  tokens[i] = false
  if not values[i] then
    -- Readers that miss together share a token, so that any of them may fill.
    tokens[i] = redis.call('GET', KEYS[n + i]) or ARGV[i + 1]
    redis.call('SET', KEYS[n + i], tokens[i], 'PX', ARGV[1])
  end
end
return { values, tokens }
