/**
 * Where the webhooks of revision tags ask: `/inject/tag/TAG`. The tag is part of the request, so that one set a moment
 * ago injects at every replica, also where nobody has told it of the tag yet.
 */
export const TAG_PATH = "/inject/tag";
