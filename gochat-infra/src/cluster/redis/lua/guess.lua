-- The failed passwords of gochat-core (guess::Guesses), kept as "failures:last" with times in milliseconds.
-- KEYS: the budget. ARGV: free failures, first delay, longest delay, time to forget one (all in ms), most failures that
-- count, and the time in ms, or '' for the server's clock. Answers 0, or after how many ms a guess is judged again.
local free, first, longest, forget, most =
  tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local now = tonumber(ARGV[6])
if not now then
  local time = redis.call('TIME')
  now = time[1] * 1000 + math.floor(time[2] / 1000)
end
local failures, last = 0, 0
local kept = redis.call('GET', KEYS[1])
if kept then
  local a, b = string.match(kept, '^(%d+):(%d+)$')
  failures, last = tonumber(a), math.min(tonumber(b), now)
end
failures = failures - math.floor((now - last) / forget)
if failures <= 0 then
  failures, last = 0, 0
end
local delay = 0
if failures >= free then
  delay = math.min(first * 2 ^ (failures - free), longest)
end
if now - last < delay then
  local left = delay - (now - last)
  if kept and string.match(kept, ':(%d+)$') + 0 > now then
    redis.call('SET', KEYS[1], string.format('%d:%.0f', failures, now), 'PX', failures * forget)
  end
  return left
end
failures = math.min(failures + 1, most)
redis.call('SET', KEYS[1], string.format('%d:%.0f', failures, now), 'PX', failures * forget)
return 0
