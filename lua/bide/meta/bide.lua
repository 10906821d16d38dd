---@meta
-- SPDX-License-Identifier: MIT
-- The types of bide's tasks and combinators, for language servers. Never loaded by a program.

---@class bide
local bide = {}

---A duration in seconds, with a fraction; 0 or more, math.huge never ends.
---@alias bide.seconds number

---@alias bide.status
---| "pending"   # not ended yet
---| "done"      # it has results
---| "failed"    # it has an error
---| "cancelled" # it was cancelled

---A result that is not there yet: a future or a task.
---@class bide.Awaitable
local Awaitable = {}

---Waits for the results and returns all of them, or raises the error untouched.
---@async
---@return any ...
function Awaitable:await() end

---@return bide.status
function Awaitable:status() end

---Whether it has ended, in any way.
---@return boolean
function Awaitable:done() end

---The results without waiting; raises the error, or `EPENDING` when it has not ended.
---@return any ...
function Awaitable:result() end

---Calls `f` with this awaitable when it has ended, in a small task of its own; at once when it
---has ended already.
---@param f fun(awaitable: bide.Awaitable)
---@return bide.Awaitable self
function Awaitable:on_done(f) end

---@class bide.Task: bide.Awaitable
local Task = {}

---Cancels what the task does: its wait, or the next one, raises `ECANCELED`. False when it has
---ended.
---@param reason? any  becomes the error's field `reason`; the first one given counts
---@return boolean
function Task:cancel(reason) end

---Gives the task a name; returns the name, by default file:line of its function.
---@param name? string
---@return string
function Task:name(name) end

---Where the task stands, who awaits it, where it was spawned; of a failed one, where it failed.
---@return string
function Task:traceback() end

---@class bide.Future: bide.Awaitable
local Future = {}

---Ends the future with these results. True the first time, false once it has ended.
---@param ... any
---@return boolean
function Future:resolve(...) end

---Ends the future with an error. True the first time, false once it has ended.
---@param err any
---@return boolean
function Future:reject(err) end

---Ends the future as cancelled: its waiters get `ECANCELED`. False once it has ended.
---@param reason? any
---@return boolean
function Future:cancel(reason) end

---An awaitable, or a function: called without arguments as a task that the combinator owns.
---@alias bide.item bide.Awaitable | fun(): ...

---An error raised by bide. `tostring` gives `connect 127.0.0.1:81: connection refused (ECONNREFUSED)`, or `op: message (CODE)`.
---@class bide.Error
---@field code string       libuv's names ("ECONNREFUSED"), or bide's own ("EDEADLK", "EALLFAILED"…)
---@field message string
---@field op? string        what was being done ("connect")
---@field where? string     file:line of the caller
---@field target? string    what it was done to, as the message begins ("127.0.0.1:81")
---@field task? bide.Task   of an `ECANCELED`: the awaited task that was cancelled
---@field reason? any       of an `ECANCELED`: what was given to `cancel`; of an `ETLS` a word ("expired")
---@field names? string[]   of an `ETLS`: what the certificate is for
---@field url? string       of HTTP
---@field phase? string     of HTTP: "pool", "connect", "tls", "headers", "read", "total"
---@field status? integer   of an `EPROXY`: what the proxy answered
---@field after? number     of an `ETIMEDOUT`: the seconds that were given
---@field errors? any[]     of an `EALLFAILED`: the error of each, in order, and their `n`
bide.Error = {}

---What is known of an error beside its value.
---@class bide.Details
---@field traceback? string
---@field others? any[]  other errors of the same gather or group, and their `n`
---@field during? string "timeout": raised in the clean-up of an expired timeout

---Runs `main` and waits for it and all that it spawned; returns main's results or raises its error.
---Inside a task it is a child of that task.
---@param main fun(...): ...
---@param ... any
---@return any ...
function bide.run(main, ...) end

---Starts a task; it first runs when the caller next waits.
---@param f fun(...): ...
---@param ... any
---@return bide.Task
function bide.spawn(f, ...) end

---As spawn, but the run does not wait for it: it is cancelled when all others have ended.
---@param f fun(...): ...
---@param ... any
---@return bide.Task
function bide.daemon(f, ...) end

---As spawn, for long computation: suspended in mid-code when it overruns its slice (10 ms), so that
---others run; cancellation reaches it between any two instructions.
---@param f fun(...): ...
---@param ... any
---@return bide.Task
function bide.compute(f, ...) end

---A function that spawns `f` with its arguments and returns the task.
---@param f fun(...): ...
---@return fun(...): bide.Task
function bide.async(f) end

---Waits: for one, all its results; for several, the first result of each.
---@async
---@param x bide.Awaitable
---@param ... bide.Awaitable
---@return any ...
function bide.await(x, ...) end

---@return bide.Future
function bide.future() end

---The running task; nil outside a run.
---@return bide.Task?
function bide.current() end

---Suspends the task for at least this long; 0 lets every task that is ready, and pending I/O, go
---first.
---@async
---@param seconds bide.seconds
function bide.sleep(seconds) end

---Monotonic seconds.
---@return number
function bide.now() end

---What is known of a living task.
---@class bide.TaskInfo
---@field task bide.Task
---@field name string
---@field status "new"|"running"|"ready"|"waiting"
---@field daemon boolean
---@field age number seconds since it was spawned
---@field waits? string what it waits for: "connect 10.0.0.1:5432", "channel recv", "task fetch#3"
---@field waited? number seconds since that wait began
---@field where? string file:line where it stands
---@field spawned? string file:line where it was spawned
---@field children bide.TaskInfo[] the tasks of its groups, combinators and runs

---All living tasks that no task owns, each with its children. `tostring` of it is the text that
---`dump` writes.
---@return bide.TaskInfo[]
function bide.tasks() end

---Writes the tree of tasks to `file` (anything with a method `write`), or to standard error.
---@param file? { write: fun(self: any, ...: string) }
function bide.dump(file) end

---All of them at once: the first result of each, in order. The first error cancels the owned rest,
---waits for them, and is raised. A table gives a table with `n`; string keys are kept.
---@async
---@overload fun(items: table<integer|string, bide.item>): table
---@param ... bide.item
---@return any ...
function bide.gather(...) end

---Waits for all and raises nothing: `{ok=true, n=…, values…}` or `{ok=false, err=…}` of each.
---@async
---@param items table<integer|string, bide.item>
---@return table
function bide.settle(items) end

---The values of an entry of `settle`, or its error raised.
---@param entry table
---@return any ...
function bide.unwrap(entry) end

---The results, or the error, of the first to end; the owned rest is cancelled and waited for.
---@async
---@param items table<integer|string, bide.item>
---@return any ...
function bide.race(items) end

---The results of the first to succeed; `EALLFAILED` when none does.
---@async
---@param items table<integer|string, bide.item>
---@return any ...
function bide.any(items) end

---Calls `f` under a deadline; past it, what `f` waits for is cancelled and `ETIMEDOUT` is raised.
---Of an awaitable it only stops waiting.
---@async
---@overload fun(seconds: bide.seconds, x: bide.Awaitable): ...
---@param seconds bide.seconds
---@param f fun(...): ...
---@param ... any
---@return any ...
function bide.timeout(seconds, f, ...) end

---Seconds to the nearest deadline; nil when there is none.
---@return number?
function bide.deadline() end

---Moves the nearest deadline later.
---@param seconds bide.seconds
function bide.extend(seconds) end

---Calls `f`; a cancellation that arrives meanwhile waits until it has ended.
---@async
---@param f fun(...): ...
---@param ... any
---@return any ...
function bide.shield(f, ...) end

---@class bide.Group
local Group = {}

---Starts a task that the group waits for. Raises once the group is cancelled or over.
---@param f fun(...): ...
---@param ... any
---@return bide.Task
function Group:spawn(f, ...) end

---Ends the group quietly: cancels its tasks and the wait in which its function stands.
function Group:cancel() end

---Calls `f(group)` and returns its results when all that was spawned in the group has ended.
---@async
---@param f fun(group: bide.Group): ...
---@return any ...
function bide.group(f) end

---Calls `f`: its results, or nil and the error; the caller's own cancellation is raised on.
---@param f fun(...): ...
---@param ... any
---@return any ...
function bide.try(f, ...) end

---What is known of an error beside its value.
---@param err any
---@return bide.Details
function bide.details(err) end

---@param err any
---@return boolean
function bide.is_cancelled(err) end

---@param err any
---@return boolean
function bide.is_timeout(err) end

---Takes the reports of errors that reached no waiter, in place of stderr; nil gives them back. It
---may not wait.
---@param f? fun(err: any, task: bide.Awaitable?, traceback: string)
---@return function? before  the handler so far
function bide.on_unhandled(f) end

return bide
