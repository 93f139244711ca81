-- What was valid stays so.
SELECT 1;
