---@meta
-- SPDX-License-Identifier: MIT
-- The types of bide.http, for language servers; docs/reference/http.md tells the rest. Never loaded
-- by a program.

---@class bide
local bide = {}

---@class bide.http
local http = {}

---@type bide.http
bide.http = http

---A map (a list as value repeats the header), or a list of pairs, sent in order.
---@alias bide.http.header_list table<string, string|number|(string|number)[]> | [string, string|number][] | bide.http.Headers

---Headers that were received: looked up without regard to case, the first of that name.
---@class bide.http.Headers
---@field [string] string?
---@operator len: integer
local Headers = {}

---The values of all headers of that name, in order.
---@param name string
---@return string[]
function Headers:all(name) end

-- ---- the client -------------------------------------------------------------------------------

---@class bide.http.Timeouts
---@field pool? bide.seconds     waiting for a free connection: none
---@field connect? bide.seconds  10
---@field tls? bide.seconds      10
---@field headers? bide.seconds  until the head of the response is complete: 60
---@field read? bide.seconds     without a byte: 30
---@field total? bide.seconds    the whole, redirects included: none

---@class bide.http.Part
---@field data string
---@field filename? string
---@field type? string

---@class bide.http.Options
---@field headers? bide.http.header_list
---@field query? string|table      a map, a list of pairs, or a string as it stands
---@field body? string|fun(): string?  a function is called until it returns nil; it may wait
---@field json? any
---@field form? table
---@field multipart? table<string, string|bide.http.Part> | [string, string|bide.http.Part][]
---@field auth? table              {user, password} or {bearer = token}
---@field timeout? bide.seconds|bide.http.Timeouts  a number is the total
---@field redirects? integer|number  10; 0: the 3xx is the response
---@field max_body? integer|number   64 MiB
---@field method? string              instead of the function's own
---@field decompress? boolean        true
---@field stream? boolean            return when the head is there
---@field proxy? string
---@field verify? boolean
---@field ca? string
---@field cert? string
---@field key? string

---@class bide.http.RequestOptions: bide.http.Options
---@field url string

---@class bide.http.Response
---@field status integer
---@field reason string
---@field version "1.0"|"1.1"
---@field headers bide.http.Headers
---@field body string  nil when streamed
---@field url string  the final one
---@field elapsed bide.seconds
local Response = {}

---The (rest of the) body, decoded.
---@async
---@return any
function Response:json() end

---Gives the rest of a streamed body up.
function Response:close() end

---A response whose body is read as it comes; to-be-closed.
---@class bide.http.Stream: bide.http.Response
local Stream = {}

---The next bytes, nil at the end.
---@async
---@return string?
function Stream:read() end

---The rest as one string, at most `max_body` (64 MiB unless given).
---@async
---@return string
function Stream:read_all() end

---@return fun(): string?
function Stream:chunks() end

---Lines without their ends.
---@return fun(): string?
function Stream:lines() end

---@class bide.http.ServerSentEvent
---@field data string
---@field event string  "message" unless told
---@field id? string
---@field retry? integer  milliseconds

---Server-sent events.
---@return fun(): bide.http.ServerSentEvent?
function Stream:events() end

---@async
---@param url string
---@param opts? bide.http.Options
---@return bide.http.Stream
function http.get(url, opts) end

---@async
---@param url string
---@param opts? bide.http.Options
---@return bide.http.Stream
function http.post(url, opts) end

---@async
---@param url string
---@param opts? bide.http.Options
---@return bide.http.Stream
function http.put(url, opts) end

---@async
---@param url string
---@param opts? bide.http.Options
---@return bide.http.Stream
function http.patch(url, opts) end

---@async
---@param url string
---@param opts? bide.http.Options
---@return bide.http.Stream
function http.delete(url, opts) end

---@async
---@param url string
---@param opts? bide.http.Options
---@return bide.http.Stream
function http.head(url, opts) end

---@async
---@param url string
---@param opts? bide.http.Options
---@return bide.http.Stream
function http.options(url, opts) end

---@async
---@param opts bide.http.RequestOptions
---@return bide.http.Stream
function http.request(opts) end

bide.http_get = http.get

-- ---- sessions ---------------------------------------------------------------------------------

---@class bide.http.SessionOptions
---@field base? string
---@field headers? bide.http.header_list
---@field cookies? boolean|bide.http.CookieJar
---@field limit? integer|number           1000 connections in all
---@field limit_per_host? integer|number  100 connections to one origin
---@field keepalive? bide.seconds         15
---@field timeout? bide.seconds|bide.http.Timeouts
---@field max_body? integer|number
---@field redirects? integer|number
---@field decompress? boolean
---@field auth? table
---@field proxy? string
---@field verify? boolean
---@field ca? string
---@field cert? string
---@field key? string

---@class bide.http.CookieJar
local CookieJar = {}

---Takes the Set-Cookie values of a response from a URL.
---@param from string
---@param values string[]
function CookieJar:store(from, values) end

---The value of the Cookie header for a request to a URL.
---@param to string
---@return string?
function CookieJar:header(to) end

---@return bide.http.CookieJar
function http.cookie_jar() end

---Connections of its own, and defaults for its requests; to-be-closed.
---@class bide.http.Session
---@field get fun(self, url: string, opts?: bide.http.Options): bide.http.Stream
---@field post fun(self, url: string, opts?: bide.http.Options): bide.http.Stream
---@field put fun(self, url: string, opts?: bide.http.Options): bide.http.Stream
---@field patch fun(self, url: string, opts?: bide.http.Options): bide.http.Stream
---@field delete fun(self, url: string, opts?: bide.http.Options): bide.http.Stream
---@field head fun(self, url: string, opts?: bide.http.Options): bide.http.Stream
---@field options fun(self, url: string, opts?: bide.http.Options): bide.http.Stream
local Session = {}

---@async
---@param opts bide.http.RequestOptions
---@return bide.http.Stream
function Session:request(opts) end

---Closes its connections; what is under way ends first.
function Session:close() end

---@param opts? bide.http.SessionOptions
---@return bide.http.Session
function http.session(opts) end

-- ---- the server -------------------------------------------------------------------------------

---@class bide.http.ServerOptions
---@field host? string  127.0.0.1
---@field port? integer  0: a free one
---@field daemon? boolean
---@field backlog? integer
---@field reuse_port? boolean
---@field header_timeout? bide.seconds  15
---@field body_timeout? bide.seconds    30
---@field idle_timeout? bide.seconds    60
---@field write_timeout? bide.seconds   30
---@field min_rate? number  240 bytes a second, of bodies and of responses; 0: any
---@field rate_grace? bide.seconds      30, before that rate is asked for
---@field max_body? integer|number         64 MiB
---@field max_header_size? integer|number  64 KiB
---@field max_headers? integer|number      100
---@field max_connections? integer|number  10000
---@field max_requests? integer|number     on one connection: none
---@field cancel_on_close? boolean|"half"  true: cancel the handler when its connection is lost
---@field log? boolean|fun(entry: bide.http.LogEntry)  true: lines of the host's report
---@field cert? string  https with this certificate: a file or PEM text
---@field key? string
---@field ca? string  who may issue clients' certificates
---@field verify? boolean|"optional"
---@field sni? table<string, bide.tls.NameOptions>
---@field alpn? string[]
---@field version? "1.2"|"1.3"
---@field handshake_timeout? bide.seconds  10

---A request that was refused.
---@class bide.http.LogEntry
---@field message string
---@field status? integer  nil: closed without an answer
---@field reason? string
---@field peer? string
---@field method? string
---@field target? string  escaped and cut
---@field count? integer  so many more, of which nothing else is told

---@class bide.http.Request
---@field method string
---@field version "1.0"|"1.1"
---@field target string  as sent
---@field path string  decoded
---@field query table<string, string>  the first value of each name
---@field query_string string  raw
---@field headers bide.http.Headers
---@field body string  waited for when first asked for
---@field peer string?  address:port
---@field [string] any  the handler's own
local Request = {}

---The next bytes of the body, nil at its end.
---@async
---@return string?
function Request:read() end

---@return fun(): string?
function Request:chunks() end

---@async
---@return any
function Request:json() end

---@alias bide.http.body string | number | fun(): string?

---@class bide.http.Server
local Server = {}

---@return string host
---@return integer port
function Server:address() end

---Stops accepting, gives the handlers so long, cancels those that are left, waits for their end.
---@async
---@param grace? bide.seconds  0 unless told
function Server:close(grace) end

---Until it is closed and all it began has ended.
---@async
function Server:wait() end

---Calls `handler` in a task of its own for each request. It returns status, headers and body, or a
---body alone.
---@param opts bide.http.ServerOptions
---@param handler fun(req: bide.http.Request): integer|bide.http.body|nil, bide.http.header_list?, bide.http.body?
---@return bide.http.Server
function http.serve(opts, handler) end

return bide
