-- Reads the log of arrivals.
-- KEYS: the log. ARGV: the run and the number of the last entry that was read ('' = the end), how many at most.
-- Answers the run, the oldest number kept, the newest number there is, and the entries.
local newest = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)[1]
if not newest then
  return false
end
local run, last = string.match(newest[1], '^(%d+)-(%d+)$')
local first = string.match(redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', 1)[1][1], '-(%d+)$')
local from = ARGV[2]
if ARGV[1] == '' then
  return { run, first, last, {} }
elseif ARGV[1] ~= run or tonumber(from) > tonumber(last) then
  return { run, first, last, redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', ARGV[3]) }
end
return { run, first, last, redis.call('XRANGE', KEYS[1], '(' .. run .. '-' .. from, '+', 'COUNT', ARGV[3]) }
