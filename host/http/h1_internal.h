/* SPDX-License-Identifier: MIT */
/*
 * What the files of the HTTP/1 head parser share, and nobody else sees.
 */
#ifndef BIDE_HTTP_H1_INTERNAL_H
#define BIDE_HTTP_H1_INTERNAL_H

#include "h1.h"

/* The form of a complete request target; ETARGET if it is none that the method allows. */
int bide__h1_frame_target(bide_h1_head *h);

/* Derive kind, length and flags of a head whose fields are complete: 0 or an error. */
int bide__h1_frame_request(bide_h1_head *h);
int bide__h1_frame_response(bide_h1_head *h);

#endif
