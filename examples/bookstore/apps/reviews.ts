import { ask, json, serve } from "./serve.ts";

/** v1 shows no stars and needs no ratings; v2 shows the stars of each review; v3 their average as well. */
const version = process.env.VERSION ?? "v1";
const reviews = [
  { reviewer: "Ada Brandt", text: "Nothing happens, beautifully, for two hundred pages." },
  { reviewer: "Tomás Reyes", text: "I took it on a barge and came back with the barge." },
];

serve(`reviews ${version}`, {
  "/reviews": async (request) => {
    if (version === "v1") return json({ version, reviews });
    const ratings = (await ask("http://ratings:9080/ratings", request)) as Record<string, number>;
    const rated = reviews.map((review) => ({ ...review, stars: ratings[review.reviewer] ?? null }));
    if (version === "v2") return json({ version, reviews: rated });
    const stars = Object.values(ratings);
    const average = stars.reduce((sum, value) => sum + value, 0) / stars.length;
    return json({ version, average, reviews: rated });
  },
});
