-- SPDX-License-Identifier: MIT
-- bide.http.cookie_jar: which cookies are kept, for how long, and where they go (RFC 6265).
local bide = require "bide"
local jar_of = bide.http.cookie_jar

--- What goes to `to` after `from` has set these.
local function after(from, set, to)
  local jar = jar_of()
  jar:store(from, type(set) == "table" and set or { set })
  return jar:header(to or from)
end

describe("a cookie jar", function()
  it("sends a cookie back to the host that set it, and to no other", function()
    assert.equal("a=1", after("http://h.test/", "a=1"))
    assert.is_nil(after("http://h.test/", "a=1", "http://sub.h.test/"))
    assert.is_nil(after("http://sub.h.test/", "a=1", "http://h.test/"))
    assert.equal("a=1", after("http://H.TEST/", "a=1", "http://h.test:8080/"))
  end)

  it("sends one with a domain to what is beneath it, if its host lies there too", function()
    assert.equal("a=1", after("http://x.h.test/", "a=1; Domain=h.test", "http://y.h.test/"))
    assert.equal("a=1", after("http://x.h.test/", "a=1; Domain=.H.Test", "http://h.test/"))
    assert.equal("a=1", after("http://h.test/", "a=1; Domain=h.test", "http://y.h.test/"))
    assert.equal("a=1", after("http://h.test/", "a=1; Domain="))
    assert.equal("a=1", after("http://h.test/", "a=1; Domain=."))
    for _, domain in ipairs { "other.test", "test", "x.h.test", "evilh.test", "y.h.test" } do
      assert.is_nil(after("http://h.test/", "a=1; Domain=" .. domain, "http://h.test/"))
    end
    assert.is_nil(after("http://h.test/", "a=1; Domain=h.test", "http://evilh.test/"))
    assert.is_nil(after("http://localhost/", "a=1; Domain=localhost", "http://a.localhost/"))
    assert.equal("a=1", after("http://localhost/", "a=1; Domain=localhost"))
  end)

  it("shares none between addresses", function()
    assert.equal("a=1", after("http://127.0.0.1/", "a=1; Domain=127.0.0.1"))
    assert.is_nil(after("http://127.0.0.1/", "a=1; Domain=0.0.1", "http://127.0.0.1/"))
    assert.equal("a=1", after("http://[::1]/", "a=1"))
  end)

  it("sends it to its path and beneath, by default that of the page", function()
    for path, sent in pairs { ["/a"] = true, ["/a/b"] = true, ["/ab"] = false, ["/"] = false } do
      assert.equal(sent and "x=1" or nil,
        after("http://h.test/", "x=1; Path=/a", "http://h.test" .. path))
    end
    assert.equal("x=1", after("http://h.test/a/b", "x=1", "http://h.test/a/c"))
    assert.is_nil(after("http://h.test/a/b", "x=1", "http://h.test/ab"))
    assert.equal("x=1", after("http://h.test", "x=1; Path=a", "http://h.test/z"))
  end)

  it("sends longer paths first, then older ones; a new value keeps its place", function()
    local jar = jar_of()
    jar:store("http://h.test/a/", { "one=1; Path=/", "two=2; Path=/a", "three=3; Path=/" })
    jar:store("http://h.test/a/", { "one=9; Path=/" })
    assert.equal("two=2; one=9; three=3", jar:header "http://h.test/a")
  end)

  it("keeps what is secure to https", function()
    assert.is_nil(after("https://h.test/", "a=1; Secure", "http://h.test/"))
    assert.equal("a=1", after("https://h.test/", "a=1; Secure"))
    assert.is_nil(after("http://h.test/", "a=1; Secure", "https://h.test/"))
    local jar = jar_of()
    jar:store("https://h.test/", { "a=1; Secure" })
    jar:store("http://h.test/", { "a=evil" })
    assert.equal("a=1", jar:header "https://h.test/")
  end)

  it("takes names at their word", function()
    assert.equal("__Host-a=1", after("https://h.test/", "__Host-a=1; Secure; Path=/"))
    assert.is_nil(after("https://h.test/", "__Host-a=1; Path=/"))
    assert.is_nil(after("https://h.test/", "__Host-a=1; Secure; Path=/x", "https://h.test/x"))
    assert.is_nil(after("https://h.test/", "__Host-a=1; Secure; Path=/; Domain=h.test"))
    assert.is_nil(after("https://h.test/", "__Secure-a=1"))
    assert.equal("__Secure-a=1", after("https://h.test/", "__Secure-a=1; Secure"))
  end)

  it("forgets what has expired, by whatever way of writing a date", function()
    for _, date in ipairs { "Thu, 01 Jan 1970 00:00:00 GMT", "Thu, 01-Jan-70 00:00:01 GMT",
      "Thursday, 01-Jan-98 00:00:00 GMT", "Thu Jan  1 00:00:00 1998", "1 jan 1998 0:0:0" } do
      assert.is_nil(after("http://h.test/", "a=1; Expires=" .. date), date)
    end
    for _, date in ipairs { "Wed, 09 Jun 2038 10:18:14 GMT", "Wed, 09-Jun-38 10:18:14 GMT",
      "Wed Jun  9 10:18:14 2038", "2038 10:18:14 9 June",
      "soon", "", "32 Jan 1970 00:00:00", "1 Jan 1970 24:00:00", "1 Jan 1600 00:00:00" } do
      assert.equal("a=1", after("http://h.test/", "a=1; Expires=" .. date), date)
    end
  end)

  it("counts Max-Age for more than Expires, and deletes by it", function()
    local past = "; Expires=Thu, 01 Jan 1970 00:00:00 GMT"
    assert.equal("a=1", after("http://h.test/", "a=1; Max-Age=60" .. past))
    assert.is_nil(after("http://h.test/", { "a=1", "a=; Max-Age=0" }))
    assert.is_nil(after("http://h.test/", { "a=1", "a=" .. past }))
    assert.is_nil(after("http://h.test/", "a=1; Max-Age=-1"))
    assert.equal("a=1", after("http://h.test/", "a=1; Max-Age=99999999999999999999"))
    assert.equal("a=1", after("http://h.test/", "a=1; Max-Age=soon"))
  end)

  it("takes values as they stand, and nothing that would inject", function()
    assert.equal('a="1 2"', after("http://h.test/", 'a="1 2"; HttpOnly'))
    assert.equal("a=b=c", after("http://h.test/", " a = b=c ; x"))
    assert.equal("a=", after("http://h.test/", "a="))
    local long = "a=" .. ("x"):rep(5000)
    for _, text in ipairs { "a=1\r\nX: y", "a=\0", "=1", "a", "", ";a=1", long } do
      assert.is_nil(after("http://h.test/", text))
    end
  end)

  it("holds 50 of a domain and 3,000 in all, the oldest go", function()
    local jar = jar_of()
    local function count(host) return select(2, (jar:header(host) or ""):gsub("=", "")) end
    for i = 1, 60 do jar:store("http://h.test/", { "n" .. i .. "=1" }) end
    assert.equal(50, count "http://h.test/")
    assert.matches("^n11=1; ", jar:header "http://h.test/")
    for i = 1, 3000 do jar:store(("http://h%d.test/"):format(i), { "a=1" }) end
    assert.equal(0, count "http://h.test/")
    assert.equal(1, count "http://h3000.test/")
    assert.equal(3000, #jar.list)
  end)
end)
