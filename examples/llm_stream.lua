-- SPDX-License-Identifier: MIT
-- Tokens as they come: a server that streams the answer to a prompt as server-sent events, the way
-- language models do, and a client that prints each token when it arrives.
--
--     bide examples/llm_stream.lua [prompt]
local bide = require "bide"

local answer = "Coroutines suspend and resume , so one thread can wait for many things at once ."

--- Writes one event per token, with a pause before each, as a model would.
local function stream_tokens(prompt)
  return coroutine.wrap(function()
    local n = 0
    for token in answer:gmatch "%S+" do
      bide.sleep(0.02)
      n = n + 1
      coroutine.yield(("event: token\ndata: %s\n\n"):format(token))
    end
    coroutine.yield(("event: done\ndata: %d tokens for %q\n\n"):format(n, prompt))
  end)
end

local function handler(req)
  if req.method ~= "POST" or req.path ~= "/v1/stream" then
    return 404, nil, "no such thing"
  end
  return 200, { ["Content-Type"] = "text/event-stream" }, stream_tokens(req.body)
end

--- Asks, and calls on_token(token, seconds since asking) for each token; returns the closing event.
local function ask(base, prompt, on_token)
  local start = bide.now()
  local res <close> = bide.http.post(base .. "/v1/stream", { body = prompt, stream = true })
  for event in res:events() do
    if event.event == "done" then return event.data end
    on_token(event.data, bide.now() - start)
  end
  error "the stream ended early"
end

local function main(prompt)
  local server = bide.http.serve({ host = "127.0.0.1", port = 0, daemon = true }, handler)
  local base = ("http://%s:%d"):format(server:address())

  io.stdout:setvbuf "no"
  local first, last
  local done = ask(base, prompt or "What do coroutines do?", function(token, seconds)
    io.write((not first or token:match "^%p") and "" or " ", token)
    first, last = first or seconds, seconds
  end)
  print()
  print(done)
  print("the first token came before the last", first < last)
end

bide.run(main, ...)
