import type { IncomingMessage } from "node:http";
import { type Answer, ask, json, serve } from "./serve.ts";

interface Product {
  readonly details: { readonly title: string; readonly author: string };
  readonly reviews: {
    readonly version: string;
    readonly reviews: readonly { readonly reviewer: string; readonly text: string; readonly stars?: number | null }[];
  };
}

async function product(request: IncomingMessage): Promise<Product> {
  const [details, reviews] = await Promise.all([
    ask("http://details:9080/details", request) as Promise<Product["details"]>,
    ask("http://reviews:9080/reviews", request) as Promise<Product["reviews"]>,
  ]);
  return { details, reviews };
}

function html({ details, reviews }: Product): Answer {
  const items = reviews.reviews.map(
    ({ reviewer, text, stars }) => `<li>${text} <em>${reviewer}</em> ${"★".repeat(stars ?? 0)}</li>`,
  );
  return {
    type: "text/html; charset=utf-8",
    body: `<!doctype html><title>${details.title}</title><h1>${details.title}</h1><p>by ${details.author}</p>
<ul>${items.join("")}</ul><p><small>reviews ${reviews.version}</small></p>\n`,
  };
}

serve("page", {
  "/": async (request) => html(await product(request)),
  "/api/product": async (request) => json(await product(request)),
  /** Tries what the policy forbids the page: to read ratings without going through reviews. */
  "/api/ratings-directly": async () => {
    const response = await fetch("http://ratings:9080/ratings");
    return json({ status: response.status, body: await response.text() });
  },
});
