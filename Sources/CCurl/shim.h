/* SPDX-License-Identifier: Apache-2.0
 *
 * libcurl's easy interface as of 7.85. RemoteProviders is the only importer. Its functions of options are variadic, which
 * Swift does not call: a wrapper for each type of argument.
 */
#ifndef CREDFS_CCURL_SHIM_H
#define CREDFS_CCURL_SHIM_H

#include <curl/curl.h>

typedef size_t (*credfs_curl_sink)(char *bytes, size_t size, size_t count, void *context);
typedef int (*credfs_curl_watch)(void *context, curl_off_t, curl_off_t, curl_off_t, curl_off_t);

static inline CURLcode credfs_curl_global_init(void) {
    return curl_global_init(CURL_GLOBAL_DEFAULT);
}

static inline CURLcode credfs_curl_set_number(CURL *handle, CURLoption option, long value) {
    return curl_easy_setopt(handle, option, value);
}

static inline CURLcode credfs_curl_set_text(CURL *handle, CURLoption option, const char *value) {
    return curl_easy_setopt(handle, option, value);
}

static inline CURLcode credfs_curl_set_list(CURL *handle, CURLoption option, struct curl_slist *value) {
    return curl_easy_setopt(handle, option, value);
}

/* The body is not copied: it lives until the request has ended. */
static inline CURLcode credfs_curl_set_body(CURL *handle, const void *bytes, long count) {
    CURLcode code = curl_easy_setopt(handle, CURLOPT_POSTFIELDSIZE, count);
    return code == CURLE_OK ? curl_easy_setopt(handle, CURLOPT_POSTFIELDS, (const char *)bytes) : code;
}

/* What comes, first the headers line by line, then the body in pieces. */
static inline CURLcode credfs_curl_set_sinks(CURL *handle, credfs_curl_sink header, credfs_curl_sink body,
                                             credfs_curl_watch watch, void *context) {
    CURLcode codes[] = {
        curl_easy_setopt(handle, CURLOPT_HEADERFUNCTION, header),
        curl_easy_setopt(handle, CURLOPT_HEADERDATA, context),
        curl_easy_setopt(handle, CURLOPT_WRITEFUNCTION, body),
        curl_easy_setopt(handle, CURLOPT_WRITEDATA, context),
        curl_easy_setopt(handle, CURLOPT_XFERINFOFUNCTION, watch),
        curl_easy_setopt(handle, CURLOPT_XFERINFODATA, context),
        curl_easy_setopt(handle, CURLOPT_NOPROGRESS, 0L),
    };
    for (size_t index = 0; index < sizeof codes / sizeof codes[0]; index++) {
        if (codes[index] != CURLE_OK) return codes[index];
    }
    return CURLE_OK;
}

static inline long credfs_curl_status(CURL *handle) {
    long status = 0;
    return curl_easy_getinfo(handle, CURLINFO_RESPONSE_CODE, &status) == CURLE_OK ? status : 0;
}

#endif
