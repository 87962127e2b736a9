-- Takes one failed password back: it was right. KEYS: the budget.
local kept = redis.call('GET', KEYS[1])
if not kept then
  return 0
end
local failures, last = string.match(kept, '^(%d+):(%d+)$')
failures = tonumber(failures) - 1
if failures <= 0 then
  redis.call('DEL', KEYS[1])
else
  redis.call('SET', KEYS[1], string.format('%d:%s', failures, last), 'KEEPTTL')
end
return 0
