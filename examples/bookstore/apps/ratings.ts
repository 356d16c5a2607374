import { json, serve } from "./serve.ts";

serve("ratings", {
  "/ratings": () => json({ "Ada Brandt": 5, "Tomás Reyes": 3 }),
});
