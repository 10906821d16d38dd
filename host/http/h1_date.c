/* SPDX-License-Identifier: MIT */
/*
 * Dates as HTTP writes them (RFC 9110 section 5.6.7), without locale or time zone. Owns nothing.
 *
 * Invariant: days are counted in the proleptic Gregorian calendar from 1970-01-01, in 64 bits, so
 * that no date of four digits overflows anything.
 */
#include "h1.h"

static const char days[7][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
static const char *const long_days[7] = {"Sunday",   "Monday", "Tuesday", "Wednesday",
                                         "Thursday", "Friday", "Saturday"};
static const char months[12][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                   "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

enum { DAY = 86400, DAYS_TO_1970 = 719468 /* from 0000-03-01 */, ERA = 146097 /* 400 years */ };

static const int64_t first_second = INT64_C(-62167219200); /* 0000-01-01 */
static const int64_t last_second = INT64_C(253402300799);  /* 9999-12-31, 23:59:59 */

typedef struct date {
  int year, month, day; /* month 0 to 11, day 1 to 31 */
  int hour, minute, second;
  int weekday;
} date;

/* Years are taken to begin in March, so that the leap day is a year's last. */
static int64_t days_from_date(int year, int month, int day) {
  int64_t y = month < 2 ? year - 1 : year;
  int64_t era = (y >= 0 ? y : y - 399) / 400, of_era = y - era * 400;
  int64_t of_year = (153 * ((month + 10) % 12) + 2) / 5 + day - 1;
  return era * ERA + of_era * 365 + of_era / 4 - of_era / 100 + of_year - DAYS_TO_1970;
}

static void date_from_days(int64_t n, date *d) {
  d->weekday = (int)(((n + 4) % 7 + 7) % 7);
  n += DAYS_TO_1970;
  int64_t era = (n >= 0 ? n : n - (ERA - 1)) / ERA, of_era = n - era * ERA;
  int64_t y = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
  int64_t of_year = of_era - (365 * y + y / 4 - y / 100), m = (5 * of_year + 2) / 153;
  d->day = (int)(of_year - (153 * m + 2) / 5 + 1);
  d->month = (int)((m + 2) % 12);
  d->year = (int)(y + era * 400 + (d->month < 2));
}

static void two_digits(char *out, int n) {
  out[0] = (char)('0' + n / 10);
  out[1] = (char)('0' + n % 10);
}

void bide__h1_format_date(char out[BIDE_H1_DATE], int64_t t) {
  if (t < first_second) t = first_second;
  if (t > last_second) t = last_second;
  int64_t day = t / DAY, rest = t % DAY;
  if (rest < 0) day--, rest += DAY;
  date d;
  date_from_days(day, &d);
  memcpy(out, "Sun, 06 Nov 1994 08:49:37 GMT", BIDE_H1_DATE);
  memcpy(out, days[d.weekday], 3);
  two_digits(out + 5, d.day);
  memcpy(out + 8, months[d.month], 3);
  two_digits(out + 12, d.year / 100);
  two_digits(out + 14, d.year % 100);
  two_digits(out + 17, (int)(rest / 3600));
  two_digits(out + 20, (int)(rest / 60 % 60));
  two_digits(out + 23, (int)(rest % 60));
}

/* ---- Parsing -------------------------------------------------------------------------------- */

static int number(const char *p, size_t n) {
  int value = 0;
  for (size_t i = 0; i < n; i++) {
    if (!bide__is_digit(p[i])) return -1;
    value = value * 10 + (p[i] - '0');
  }
  return value;
}

static int month_of(const char *p) {
  for (int i = 0; i < 12; i++)
    if (memcmp(p, months[i], 3) == 0) return i;
  return -1;
}

/* The bytes a name of a day takes at p, 0 if there is none. */
static size_t day_name(const char *p, size_t n, bool in_full) {
  for (int i = 0; i < 7; i++) {
    size_t size = in_full ? strlen(long_days[i]) : 3;
    if (n >= size && memcmp(p, in_full ? long_days[i] : days[i], size) == 0) return size;
  }
  return 0;
}

static int *number_slot(char c, date *d, size_t *size) {
  *size = c == 'Y' ? 4 : 2;
  switch (c) {
  case 'd':
  case 'e': return &d->day;
  case 'y':
  case 'Y': return &d->year;
  case 'h': return &d->hour;
  case 'i': return &d->minute;
  case 's': return &d->second;
  default: return NULL;
  }
}

/* The bytes that one pattern letter takes, 0 if the text does not match it. */
static size_t read_part(char c, const char *p, size_t n, date *d) {
  size_t size;
  if (c == 'w' || c == 'W') return day_name(p, n, c == 'W');
  if (c == 'm') return n >= 3 && (d->month = month_of(p)) >= 0 ? 3 : 0;
  int *slot = number_slot(c, d, &size);
  if (slot == NULL) return n != 0 && *p == c;
  if (n < size) return 0;
  bool padded = c == 'e' && p[0] == ' ';
  *slot = padded ? number(p + 1, 1) : number(p, size);
  return *slot >= 0 ? size : 0;
}

/*
 * Reads by a pattern: 'w' a short day name, 'W' a long one, 'd' two-digit day, 'e' day padded with
 * a space, 'm' month, 'y' two-digit year, 'Y' four digits, 'h' 'i' 's' the time; else itself.
 */
static bool read_date(const char *pattern, bide_slice text, date *d) {
  size_t at = 0;
  for (; *pattern != '\0'; pattern++) {
    size_t n = read_part(*pattern, text.p + at, text.n - at, d);
    if (n == 0) return false;
    at += n;
  }
  return at == text.n;
}

static int days_in(int year, int month) {
  static const uint8_t lengths[12] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
  return lengths[month] + (month == 1 && leap);
}

/* A two-digit year that seems more than 50 years ahead is the last one with those digits. */
static int full_year(int two, int64_t now) {
  date today;
  if (now < first_second || now > last_second) now = 0;
  date_from_days(now / DAY, &today);
  int year = today.year - today.year % 100 + two;
  return year > today.year + 50 ? year - 100 : year;
}

bool bide__h1_parse_date(bide_slice text, int64_t now, int64_t *t) {
  date d = {0};
  if (text.n == 0) return false;
  if (read_date("W, d-m-y h:i:s GMT", text, &d)) d.year = full_year(d.year, now);
  else if (!read_date("w, d m Y h:i:s GMT", text, &d) && !read_date("w m e h:i:s Y", text, &d))
    return false;
  bool day_ok = d.day >= 1 && d.day <= days_in(d.year, d.month);
  if (!day_ok || d.hour > 23 || d.minute > 59 || d.second > 60) return false; /* 60: leap second */
  *t = days_from_date(d.year, d.month, d.day) * DAY + d.hour * 3600 + d.minute * 60 + d.second;
  return true;
}
