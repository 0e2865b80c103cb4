"""The Lua scripts that make each of the Redis store's writes one atomic step.

A record is the string ``<version> <json>``. Versions come from one counter that
starts at the server's time in microseconds and only grows, so a key that was
deleted, or a whole store that was wiped, never repeats one. Each collection
has a set of its keys; keys that expired are dropped from it when it is listed.
"""

from __future__ import annotations

from typing import Final

_VERSION: Final = """
local function next_version(counter)
  local t = redis.call('TIME')
  local now = tonumber(t[1]) * 1000000 + tonumber(t[2])
  local last = tonumber(redis.call('GET', counter) or '0')
  if now <= last then now = last + 1 end
  local text = string.format('%.0f', now)
  redis.call('SET', counter, text)
  return text
end
"""

COMPARE_AND_SET: Final = (
    _VERSION
    + """
-- KEYS: version counter, then key and index set of each change
-- ARGV: channel or '', then expected, value or '', ttl_ms or '' of each change
local n = (#KEYS - 1) / 2
for i = 0, n - 1 do
  local expected = ARGV[2 + 3 * i]
  if expected ~= '-1' then
    local raw = redis.call('GET', KEYS[2 + 2 * i])
    local version = '0'
    if raw then version = string.match(raw, '^%d+') end
    if version ~= expected then return 0 end
  end
end
for i = 0, n - 1 do
  local key, index = KEYS[2 + 2 * i], KEYS[3 + 2 * i]
  local value, ttl = ARGV[3 + 3 * i], ARGV[4 + 3 * i]
  if value == '' then
    redis.call('DEL', key)
    redis.call('SREM', index, key)
  else
    local raw = next_version(KEYS[1]) .. ' ' .. value
    if ttl == '' then redis.call('SET', key, raw)
    else redis.call('SET', key, raw, 'PX', ttl) end
    redis.call('SADD', index, key)
  end
end
if ARGV[1] ~= '' then redis.call('PUBLISH', ARGV[1], '{}') end
return 1
"""
)

LIST: Final = """
-- KEYS: index set; returns key, raw, key, raw, ... in one MessagePack string, since
-- a client in Python takes longer to read a thousand strings than all else takes
local keys = redis.call('SMEMBERS', KEYS[1])
local found = {}
for first = 1, #keys, 1000 do
  local last = math.min(first + 999, #keys)
  local raws = redis.call('MGET', unpack(keys, first, last))
  for i, raw in ipairs(raws) do
    local key = keys[first + i - 1]
    if raw then
      found[#found + 1] = key
      found[#found + 1] = raw
    else
      redis.call('SREM', KEYS[1], key)
    end
  end
end
return cmsgpack.pack(found)
"""

APPEND: Final = """
-- KEYS: log, hash of unique names; ARGV: unique, entry, limit or ''
local first = redis.call('HGET', KEYS[2], ARGV[1])
if first then return {tonumber(first), 0} end
if ARGV[3] ~= '' and redis.call('LLEN', KEYS[1]) >= tonumber(ARGV[3]) then return {0, 0} end
local index = redis.call('RPUSH', KEYS[1], ARGV[2])
redis.call('HSET', KEYS[2], ARGV[1], index)
return {index, 1}
"""
