import { json, serve } from "./serve.ts";

serve("details", {
  "/details": () =>
    json({
      title: "A Field Guide to Slow Rivers",
      author: "Ines Calloway",
      pages: 212,
      year: 1987,
      language: "English",
    }),
});
