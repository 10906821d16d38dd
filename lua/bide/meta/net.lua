---@meta
-- SPDX-License-Identifier: MIT
-- The types of bide's streams, servers, datagrams and look-ups, for language servers. Never loaded
-- by a program.

---@class bide.tcp
local tcp = {}
---@class bide.unix
local unix = {}
---@class bide.udp
local udp = {}
---@class bide.dns
local dns = {}

---A connection: bytes both ways. To-be-closed.
---@class bide.Stream
local Stream = {}

---@class bide.LimitOptions
---@field limit? integer  bytes; past it ETOOBIG, and nothing is lost
---@field keep? boolean   keep the delimiter

---What is there, at least a byte; nil at the end.
---@async
---@param max? integer
---@return string?
function Stream:read(max) end

---@async
---@param n integer
---@return string?
function Stream:read_exactly(n) end

---@async
---@param opts? bide.LimitOptions
---@return string?
function Stream:read_line(opts) end

---@async
---@param delimiter string
---@param opts? bide.LimitOptions
---@return string?
function Stream:read_until(delimiter, opts) end

---@async
---@param opts? bide.LimitOptions
---@return string
function Stream:read_all(opts) end

---@param opts? bide.LimitOptions
---@return fun(): string?
function Stream:lines(opts) end

---Waits while the peer is slow.
---@async
---@param ... string|number
---@return bide.Stream self
function Stream:write(...) end

---The peer reads the end once all is sent.
---@return bide.Stream self
function Stream:shutdown() end

---@async
function Stream:close() end

---@return string? host  or the path of a unix socket
---@return integer? port
function Stream:peer() end

---@return string? host
---@return integer? port
function Stream:local_address() end

---@param on? boolean
---@return bide.Stream self
function Stream:nodelay(on) end

---@param seconds bide.seconds  0 switches it off
---@return bide.Stream self
function Stream:keepalive(seconds) end

---The stream outlives its handler.
---@return bide.Stream self
function Stream:detach() end

---@class bide.StreamServer
local StreamServer = {}

---@return string host
---@return integer port
function StreamServer:address() end

---Stops accepting, waits `grace` seconds for the handlers, cancels the rest and waits for them.
---@async
---@param grace? bide.seconds
function StreamServer:close(grace) end

---@async
function StreamServer:wait() end

---@class bide.ConnectOptions
---@field timeout? bide.seconds
---@field family? 4|6
---@field local_address? string
---@field nodelay? boolean
---@field keepalive? integer

---@class bide.ListenOptions
---@field max_connections? integer
---@field backlog? integer
---@field daemon? boolean
---@field reuse_port? boolean
---@field v6only? boolean
---@field family? 4|6

---@async
---@param host string
---@param port integer
---@param opts? bide.ConnectOptions
---@return bide.Stream
function tcp.connect(host, port, opts) end

---@async
---@param host string
---@param port integer
---@param handler fun(stream: bide.Stream)
---@param opts? bide.ListenOptions
---@return bide.StreamServer
function tcp.listen(host, port, handler, opts) end

---@async
---@param path string
---@param opts? { timeout?: bide.seconds }
---@return bide.Stream
function unix.connect(path, opts) end

---@async
---@param path string
---@param handler fun(stream: bide.Stream)
---@param opts? { max_connections?: integer, backlog?: integer, daemon?: boolean, mode?: integer }
---@return bide.StreamServer
function unix.listen(path, handler, opts) end

---A datagram socket. To-be-closed.
---@class bide.Datagrams
local Datagrams = {}

---@async
---@param max? integer
---@return string data
---@return string host
---@return integer port
---@return boolean truncated
function Datagrams:recv(max) end

---@async
---@param data string
---@param host? string  none: to the connected peer
---@param port? integer
---@return bide.Datagrams self
function Datagrams:send(data, host, port) end

---@param address? string  none: undoes it
---@param port? integer
---@return bide.Datagrams self
function Datagrams:connect(address, port) end

---@return string host
---@return integer port
function Datagrams:address() end

---@return string? host
---@return integer? port
function Datagrams:peer() end

---@param group string
---@param on? string
---@return bide.Datagrams self
function Datagrams:join(group, on) end

---@param group string
---@param on? string
---@return bide.Datagrams self
function Datagrams:leave(group, on) end

---@param on boolean
---@return bide.Datagrams self
function Datagrams:broadcast(on) end

---@param hops integer
---@return bide.Datagrams self
function Datagrams:ttl(hops) end

---@param hops integer
---@return bide.Datagrams self
function Datagrams:multicast_ttl(hops) end

---@param on boolean
---@return bide.Datagrams self
function Datagrams:multicast_loop(on) end

function Datagrams:close() end

---@param host string  an IP address, "localhost" or "*"
---@param port integer
---@param opts? { reuse_address?: boolean, reuse_port?: boolean, v6only?: boolean, broadcast?: boolean }
---@return bide.Datagrams
function udp.bind(host, port, opts) end

---@async
---@param name string
---@param opts? { family?: 4|6, timeout?: bide.seconds }
---@return string[] addresses
function dns.resolve(name, opts) end

---Asks these servers instead of those of resolv.conf; nothing: those again.
---@param list? string[]  "address[:port]"
function dns.servers(list) end

---@class bide
local bide = {}

---Copies both ways until both ends have come; an end of one side is handed on to the other, which
---may go on sending. An error of either side ends both directions. Closes neither stream.
---@async
---@param a bide.Stream
---@param b bide.Stream
---@return integer a_to_b  bytes
---@return integer b_to_a  bytes
function bide.pipe_streams(a, b) end
