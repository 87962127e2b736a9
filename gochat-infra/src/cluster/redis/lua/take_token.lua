-- The bucket of gochat-core (ratelimit::TokenBucket): one number, the microsecond at which it is full again.
-- KEYS: the bucket. ARGV: us between two tokens, us a full bucket is worth, the longest life of the key in ms,
-- and the time in us, or '' for the server's clock. Answers 0, or after how many ms a token will be there.
local interval, span = tonumber(ARGV[1]), tonumber(ARGV[2])
local now = tonumber(ARGV[4])
if not now then
  local time = redis.call('TIME')
  now = time[1] * 1000000 + time[2]
end
local full_at = tonumber(redis.call('GET', KEYS[1]) or 0)
local base = math.min(math.max(full_at, now), now + span)
local next = base + interval
if next - now > math.max(span, interval) then
  return math.ceil((next - now - span) / 1000)
end
-- A bucket that is full need not be kept.
local life = math.min(math.ceil((next - now) / 1000), tonumber(ARGV[3]))
redis.call('SET', KEYS[1], string.format('%.0f', next), 'PX', life)
return 0
